package transcode_test

import "testing"

func TestSeeds(t *testing.T) {
	convs := converters()
	for _, s := range stanzaSeeds {
		checkStanza(t, []byte(s), convs)
	}
}
