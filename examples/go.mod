module github.com/switchyard-im/switchyard/examples

go 1.25.0

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	github.com/miekg/dns v1.1.73
	github.com/pelletier/go-toml/v2 v2.4.3
	github.com/prometheus/procfs v0.22.0
	github.com/switchyard-im/switchyard v0.0.0
	golang.org/x/net v0.57.0
)

require (
	github.com/beevik/etree v1.8.1 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.40.0 // indirect
)

replace github.com/switchyard-im/switchyard => ../
