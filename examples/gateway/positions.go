package main

import (
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// positions knows where in a TOML file a value stands, by a path such as server.0.domains.1.
type positions map[string]unstable.Position

// newPositions reads a file that the decoder has taken already.
func newPositions(text []byte) positions {
	pos := make(positions)
	p := new(unstable.Parser)
	p.Reset(text)
	tables := make(map[string]int) // path of an array of tables: how many there are
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			prefix = ""
			var first *unstable.Node
			for it := e.Key(); it.Next(); {
				if first == nil {
					first = it.Node()
				}
				prefix = join(prefix, string(it.Node().Data))
				if it.IsLast() && e.Kind == unstable.ArrayTable {
					tables[prefix]++
				}
				if n := tables[prefix]; n > 0 {
					prefix = join(prefix, strconv.Itoa(n-1))
				}
			}
			pos[prefix] = p.Shape(first.Raw).Start
		case unstable.KeyValue:
			pos.add(p, prefix, e)
		}
	}
	return pos
}

// add notes where the value of a key stands, and those inside it.
func (pos positions) add(p *unstable.Parser, prefix string, kv *unstable.Node) {
	var key *unstable.Node
	for it := kv.Key(); it.Next(); {
		if key == nil {
			key = it.Node()
		}
		prefix = join(prefix, string(it.Node().Data))
	}
	pos[prefix] = p.Shape(key.Raw).Start
	pos.addValue(p, prefix, kv.Value())
}

func (pos positions) addValue(p *unstable.Parser, path string, value *unstable.Node) {
	if value.Raw.Length > 0 { // arrays have none; their key stands for them
		pos[path] = p.Shape(value.Raw).Start
	}
	switch value.Kind {
	case unstable.Array:
		n := 0
		for it := value.Children(); it.Next(); n++ {
			pos.addValue(p, join(path, strconv.Itoa(n)), it.Node())
		}
	case unstable.InlineTable:
		for it := value.Children(); it.Next(); {
			pos.add(p, path, it.Node())
		}
	}
}

// of returns the position of path or of the nearest table around it; a file that says nothing of it is blamed at its beginning.
func (pos positions) of(path string) unstable.Position {
	for {
		if p, ok := pos[path]; ok {
			return p
		}
		dot := strings.LastIndexByte(path, '.')
		if dot < 0 {
			return unstable.Position{Line: 1, Column: 1}
		}
		path = path[:dot]
	}
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

func joinKey(key toml.Key) string { return strings.Join(key, ".") }

func trimTOML(message string) string { return strings.TrimPrefix(message, "toml: ") }
