package rig_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/switchyard-im/switchyard/internal/rig"
)

func TestExpat(t *testing.T) {
	p := rig.Expat(t)
	if !strings.HasPrefix(p.Version, "expat_") {
		t.Errorf("version %q", p.Version)
	}
	for _, tt := range []struct {
		doc, tree string
		seen      []string
		refused   bool
	}{
		{doc: "<a xmlns='u' xmlns:p='v' p:c='1\n2' b='&#9;'> <p:b>x<![CDATA[<]]>&amp;</p:b></a>", tree: "\x02u\x01a\x07\x04u\x07p\x04v\x03b\x04\t\x03v\x01c\x041 2\x05\x02v\x01b\x05x<&\x06\x06"},
		{doc: "<a><b/><!--x--><?p?></a>", tree: "\x02a\x05\x02b\x05\x06\x06", seen: []string{"comment", "instruction"}},
		{doc: "<?xml version='1.0' encoding='us-ascii'?><a/>", tree: "\x02a\x05\x06", seen: []string{"empty stream", "encoding"}},
		{doc: "<a>&#32;<b xmlns='u'/></a>", tree: "\x02a\x05\x02u\x01b\x07\x04u\x05\x06\x06", seen: []string{"text"}},
		{doc: "<a><![CDATA[]]></a>", tree: "\x02a\x05\x06", seen: []string{"text"}},
		{doc: "<!DOCTYPE a><a><", seen: []string{"document type"}},
		{doc: "<a>", refused: true},
		{doc: "<p:a/>", refused: true},
		{doc: "<a>\xff</a>", refused: true},
		{doc: "", refused: true},
	} {
		got, err := p.Parse([]byte(tt.doc))
		if err != nil {
			t.Fatal(err)
		}
		if got.Tree != tt.tree || !slices.Equal(got.Seen, tt.seen) || (got.Error != "") != tt.refused {
			t.Errorf("%s: %+q", tt.doc, got)
		}
	}
}
