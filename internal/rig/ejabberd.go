package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// erlLibs finds the library path in ejabberdctl. The script itself is of no use: it insists on being root or the user ejabberd,
// and on Erlang distribution, of which a machine has one name space.
var erlLibs = regexp.MustCompile(`(?m)^ERL_LIBS='(.*)'`)

// Ejabberd starts ejabberd and waits until it listens. It stops when the test ends.
func Ejabberd(t TB, o Options) *Server {
	t.Helper()
	erl := program(t, "erl")
	script, err := os.ReadFile(program(t, "ejabberdctl"))
	if err != nil {
		unavailable(t, "ejabberdctl: %v", err)
	}
	libs := erlLibs.FindSubmatch(script)
	if libs == nil {
		unavailable(t, "ejabberdctl does not say where ejabberd's libraries are")
	}

	dir := t.TempDir()
	c := newConf(t, o, "ejabberd.test", dir)
	file := filepath.Join(dir, "ejabberd.yml")
	inetrc := filepath.Join(dir, "inetrc")
	c.write(t, "ejabberd.yml.tmpl", file)
	c.write(t, "inetrc.tmpl", inetrc)
	s := c.server("ejabberd")
	s.listens = []string{s.C2S, s.S2S, c.API.String()}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(erl,
			"+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", // waiting schedulers sleep, others want the CPU
			"-noinput", "-mnesia", "dir", quote(c.Data), "-ejabberd", "log_rotate_count", "0", "quiet", "true", "-s", "ejabberd")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(),
			"HOME="+dir,
			"ERL_LIBS="+string(libs[1]),
			"ERL_INETRC="+inetrc,
			"ERL_CRASH_DUMP_BYTES=0",
			"EJABBERD_CONFIG_PATH="+file,
			"EJABBERD_LOG_PATH="+c.Log)
		return cmd
	}
	s.addAccount = func(ctx context.Context, user, domain, password string) error {
		arguments := map[string]string{"user": user, "host": domain, "password": password}
		err := ejabberdAPI(ctx, c.API.String(), "register", arguments)
		if refusal := (*apiError)(nil); errors.As(err, &refusal) && refusal.code == http.StatusConflict {
			return nil // it exists
		}
		return err
	}
	s.addSubscribers = func(ctx context.Context, user string, contacts []string) error {
		for _, who := range contacts {
			name, host, _ := strings.Cut(who, "@")
			err := ejabberdAPI(ctx, c.API.String(), "add_rosteritem", map[string]string{
				"localuser": user, "localhost": c.Domain, "user": name, "host": host, "nick": "", "group": "", "subs": "from",
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	return s.launch(t)
}

// ejabberdAPI runs a command of ejabberd's through its HTTP API.
func ejabberdAPI(ctx context.Context, addr, command string, arguments map[string]string) error {
	body, err := json.Marshal(arguments)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/api/"+command, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy, and no connection left behind
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return &apiError{command, response.StatusCode, string(answer)}
	}
	return nil
}

// apiError is ejabberd's refusal of a command.
type apiError struct {
	command string
	code    int // HTTP status
	text    string
}

func (e *apiError) Error() string {
	return fmt.Sprintf("ejabberd's %s: %d %s: %s", e.command, e.code, http.StatusText(e.code), e.text)
}
