package rig

import (
	"bufio"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

//go:embed expat_driver.py
var expatProgram string

// expatAnswer is how long the parser may take for one document, its start included.
const expatAnswer = 30 * time.Second

// ExpatParser is libexpat, with namespaces, in a Python process: the parser that most XMPP servers read with. It is for one
// goroutine.
type ExpatParser struct {
	// Version of libexpat, such as "expat_2.5.0".
	Version string

	process *process
	stderr  lockedBuffer
	in, out *os.File
	lines   *bufio.Reader
}

// ExpatDocument is what expat makes of a document.
type ExpatDocument struct {
	// Error says why it is no document: not well-formed, or wrong in its namespaces. The rest is then empty.
	Error string

	// Seen are things that are legal in XML but not on a stream: "comment", "instruction", "document type" (where parsing
	// stops), "version" other than 1.0, "encoding" other than UTF-8, "text" between the first-level elements that is more than
	// literal white space, "empty stream" if the root is an empty-element tag.
	Seen []string

	// Tree writes the elements, with text from the second level on. It consists of strings that end at the next control
	// character. U+0002: name of an element; U+0007: prefix that it declares, with U+0004 and the namespace; U+0003: attribute,
	// with U+0004 and the value; U+0005: content, text and elements; U+0006: end. Names are "namespace U+0001 local", or "local"
	// without namespace. Declarations and attributes are sorted. The prefix xml is left out.
	Tree string
}

// Expat starts a Python process that parses with expat. It ends when the test ends.
func Expat(t TB) *ExpatParser {
	t.Helper()
	cmd := exec.Command(program(t, "python3"), "-I", "-c", expatProgram)
	p := &ExpatParser{}
	cmd.Stderr = &p.stderr
	requests, in, err := os.Pipe()
	if err != nil {
		t.Fatalf("expat: %v", err)
	}
	t.Cleanup(func() { in.Close() })
	out, answers, err := os.Pipe()
	if err != nil {
		requests.Close()
		t.Fatalf("expat: %v", err)
	}
	t.Cleanup(func() { out.Close() })
	cmd.Stdin, cmd.Stdout = requests, answers
	p.in, p.out, p.lines = in, out, bufio.NewReader(out)
	p.process, err = startProcess(cmd)
	requests.Close()
	answers.Close()
	if err != nil {
		t.Fatalf("expat: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		if !p.process.wait(killTimeout) {
			p.process.kill()
		}
	})
	line, err := p.answer()
	if err != nil {
		t.Fatalf("expat: %v", err)
	}
	p.Version = strings.TrimSpace(string(line))
	return p
}

// Parse parses a document. An error is about the process; after one there is no use in going on.
func (p *ExpatParser) Parse(doc []byte) (ExpatDocument, error) {
	var d ExpatDocument
	if err := p.in.SetWriteDeadline(time.Now().Add(expatAnswer)); err != nil {
		return d, fmt.Errorf("expat: %w", err)
	}
	request := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(doc)), uint32(len(doc)))
	if _, err := p.in.Write(append(request, doc...)); err != nil {
		return d, fmt.Errorf("expat: %w\n%s", err, p.stderr.String())
	}
	line, err := p.answer()
	if err != nil {
		return d, fmt.Errorf("expat: %w", err)
	}
	if err := json.Unmarshal(line, &d); err != nil {
		return d, fmt.Errorf("expat: %w", err)
	}
	return d, nil
}

// answer reads a line from the process.
func (p *ExpatParser) answer() ([]byte, error) {
	if err := p.out.SetReadDeadline(time.Now().Add(expatAnswer)); err != nil {
		return nil, err
	}
	line, err := p.lines.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, p.stderr.String())
	}
	return line, nil
}
