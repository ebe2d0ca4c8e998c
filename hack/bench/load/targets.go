package main

import (
	"context"
	"fmt"
)

// Target is a server under test.
type Target interface {
	// Create makes so many empty streams and returns their names.
	Create(ctx context.Context, count int) ([]string, error)
	// Publish appends one event, or several in one request; it returns when they are acknowledged.
	Publish(ctx context.Context, stream string, payloads []string) error
	// Subscribe reads from the first event on, and stays; heard gets the bytes as they come, whatever
	// their frames. It returns when heard says so or ctx ends. opened is called when the server answered.
	Subscribe(ctx context.Context, stream string, opened func(), heard func([]byte) bool) error
}

func open(s Settings) (Target, error) {
	connections := s.Producers + s.Subscribers
	switch s.Target {
	case "ranvier":
		return &ranvier{s.URL, s.Key, client(connections)}, nil
	case "streams":
		return &streams{s.URL, client(connections)}, nil
	case "redis":
		return newRedis(s.URL, connections)
	case "nats":
		return newNats(s.URL)
	}
	return nil, fmt.Errorf("--target %q is none of ranvier, streams, redis, nats", s.Target)
}
