module github.com/switchyard-im/switchyard

go 1.25.0

require (
	golang.org/x/net v0.57.0
	golang.org/x/text v0.40.0
)
