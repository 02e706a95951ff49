module github.com/switchyard-im/switchyard

go 1.25.0

require (
	github.com/beevik/etree v1.8.1
	golang.org/x/net v0.57.0
	golang.org/x/text v0.40.0
)
