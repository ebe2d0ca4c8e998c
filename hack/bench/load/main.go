// load publishes to a journal and reads from it, measures, and prints one line of JSON.
//
// It knows several servers, so that all are measured by the same loops with the same payloads.
// Every run is bounded in time, and only loopback addresses are taken.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"
)

// Settings are what the flags say.
type Settings struct {
	Target, URL, Key                string
	Streams, Producers, Subscribers int
	Batch, PayloadBytes, Events     int
	Rate                            float64
	Duration                        time.Duration
}

func main() {
	var s Settings
	flag.StringVar(&s.Target, "target", "ranvier", "ranvier, streams (Durable Streams protocol), redis or nats")
	flag.StringVar(&s.URL, "url", "", "the server's URL, on a loopback address")
	flag.StringVar(&s.Key, "key", "", "API key (ranvier)")
	flag.IntVar(&s.Streams, "streams", 1, "how many axons or streams")
	flag.IntVar(&s.Producers, "producers", 1, "how many publish at once, each one request at a time")
	flag.IntVar(&s.Subscribers, "subscribers", 1, "how many read")
	flag.IntVar(&s.Batch, "batch", 1, "events in one request")
	flag.IntVar(&s.PayloadBytes, "payload", 1024, "bytes of a payload")
	flag.IntVar(&s.Events, "events", 100_000, "events to replay")
	flag.Float64Var(&s.Rate, "rate", 100, "events a second while deliveries are timed")
	flag.DurationVar(&s.Duration, "for", 5*time.Second, "how long")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: load [flags] publish | deliver | replay | idle")
		flag.PrintDefaults()
	}
	flag.Parse()
	result, err := run(s, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(result)
}

func run(s Settings, mode string) (Result, error) {
	if err := onLoopback(s.URL); err != nil {
		return nil, err
	}
	target, err := open(s)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Duration+2*time.Minute)
	defer cancel()
	names, err := target.Create(ctx, s.Streams)
	if err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	switch mode {
	case "publish":
		return publish(ctx, target, names, s)
	case "deliver":
		return deliver(ctx, target, names[0], s)
	case "replay":
		return replay(ctx, target, names[0], s)
	case "idle":
		return idle(ctx, target, names[0], s)
	}
	return nil, fmt.Errorf("%q is none of publish, deliver, replay, idle", mode)
}

func onLoopback(address string) error {
	parsed, err := url.Parse(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(parsed.Hostname()); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--url %s: only a loopback address is taken, such as http://127.0.0.1:8080", address)
	}
	return nil
}
