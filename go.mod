module github.com/switchyard-im/switchyard

go 1.25.0

require (
	github.com/beevik/etree v1.8.1
	github.com/google/go-cmp v0.7.0
	github.com/miekg/dns v1.1.73
	golang.org/x/net v0.57.0
	golang.org/x/text v0.40.0
)

require golang.org/x/sys v0.47.0 // indirect
