package main

type campaignCmd struct {
	Capacity capacityCmd `cmd:"" help:"Measure how many conversations at once this server carries: a minute."`
}
