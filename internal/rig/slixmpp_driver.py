"""XMPP clients on slixmpp 1.8, steered by JSON lines: requests on standard input, answers and events on standard output.

A request is {"id": N, "do": NAME, "user": KEY, ...arguments}; its answer {"id": N, ...results}, with "error" if it failed.
A stanza received is reported as {"user": KEY, "stanza": XML}, the end of a session as {"user": KEY, "closed": REASON}.
The program ends with its standard input.
"""
import asyncio
import json
import logging
import sys
import xml.etree.ElementTree as ET

logging.basicConfig(level=logging.ERROR)  # slixmpp warns about its own installation
import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

LINE_LIMIT = 16 << 20
users = {}
reports, sys.stdout = sys.stdout, sys.stderr  # slixmpp's xep_0045 prints


def report(**what):
    reports.write(json.dumps(what) + "\n")
    reports.flush()


class User(slixmpp.ClientXMPP):
    def __init__(self, key, jid, password):
        super().__init__(jid, password)
        self.key = key
        self.online = asyncio.get_running_loop().create_future()
        self.auto_authorize, self.auto_subscribe = None, False
        self.register_plugin("feature_mechanisms", {"unencrypted_plain": True})
        for xep in ("xep_0030", "xep_0045", "xep_0092", "xep_0199"):
            self.register_plugin(xep)
        # Without a handler of ours slixmpp refuses requests that it does not know before the test can answer them.
        for kind in ("get", "set"):
            self.register_handler(Callback("left to the test: " + kind, StanzaPath("iq@type=" + kind), lambda iq: None))
        self.add_event_handler("session_start", lambda _: self.settle(None))
        self.add_event_handler("failed_auth", lambda stanza: self.settle("refused: %s" % stanza))
        self.add_event_handler("connection_failed", lambda reason: self.settle("no connection: %s" % reason))
        self.add_event_handler("disconnected", self.disconnection)

    def settle(self, failure):
        if self.online.done():
            return
        if failure is None:
            self.online.set_result(None)
        else:
            self.online.set_exception(RuntimeError(failure))

    def disconnection(self, reason):
        self.settle("disconnected: %s" % reason)
        report(user=self.key, closed=str(reason))

    def incoming_filter(self, xml):
        """What slixmpp calls with every element of the stream before it looks at it."""
        if self.online.done() and xml.tag.startswith("{jabber:client}"):
            # ElementTree writes CR in text as it is, where the next parser would take it for a line end.
            report(user=self.key, stanza=ET.tostring(xml, encoding="unicode").replace("\r", "&#13;"))
        return xml


async def login(user, jid, password, host, port):
    u = users[user] = User(user, jid, password)
    u.connect((host, port), use_ssl=False, force_starttls=False, disable_starttls=True)
    try:
        await u.online
    except BaseException:
        u.cancel_connection_attempt()
        u.abort()
        raise
    return {"jid": u.boundjid.full}


async def send(user, stanza):
    users[user].send(stanza)
    return {}


async def disco_info(user, to):
    info = (await users[user]["xep_0030"].get_info(jid=to))["disco_info"]
    return {
        "identities": [{"category": c, "type": t, "name": n or ""} for c, t, _, n in info.get_identities(dedupe=False)],
        "features": info.get_features(dedupe=False),
    }


async def version(user, to):
    v = (await users[user]["xep_0092"].get_version(to))["software_version"]
    return {"name": v["name"], "version": v["version"], "os": v["os"]}


async def ping(user, to):
    await users[user]["xep_0199"].ping(to)
    return {}


async def join(user, room, nick):
    await users[user]["xep_0045"].join_muc_wait(room, nick, maxstanzas=0)
    return {}


async def logout(user):
    await users.pop(user).disconnect()
    return {}


COMMANDS = {f.__name__: f for f in (login, send, disco_info, version, ping, join, logout)}


async def answer(request):
    number, command = request.pop("id"), request.pop("do")
    try:
        report(id=number, **await COMMANDS[command](**request))
    except Exception as e:
        report(id=number, error="%s: %s" % (type(e).__name__, e))


async def main():
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=LINE_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    report(ready=slixmpp.__version__)
    tasks = set()
    while line := await lines.readline():
        task = loop.create_task(answer(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
