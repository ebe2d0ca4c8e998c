package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
)

const readCount = 500

// redisStreams: XADD and a blocking XREAD.
type redisStreams struct{ client *redis.Client }

func newRedis(url string, connections int) (Target, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.PoolSize = connections + 1
	options.ReadTimeout = 10 * time.Second
	return &redisStreams{redis.NewClient(options)}, nil
}

func (r *redisStreams) Create(_ context.Context, count int) ([]string, error) {
	names := make([]string, count)
	for number := range names {
		names[number] = fmt.Sprintf("load-%d-%d", time.Now().UnixNano(), number)
	}
	return names, nil
}

func (r *redisStreams) Publish(ctx context.Context, stream string, payloads []string) error {
	if len(payloads) == 1 {
		return r.client.XAdd(ctx, add(stream, payloads[0])).Err()
	}
	_, err := r.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, payload := range payloads {
			pipe.XAdd(ctx, add(stream, payload))
		}
		return nil
	})
	return err
}

func add(stream, payload string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: stream, Values: []string{"p", payload}}
}

func (r *redisStreams) Subscribe(ctx context.Context, stream string, opened func(), heard func([]byte) bool) error {
	opened()
	last := "0"
	for ctx.Err() == nil {
		args := &redis.XReadArgs{Streams: []string{stream, last}, Count: readCount, Block: 5 * time.Second}
		found, err := r.client.XRead(ctx, args).Result()
		if err == redis.Nil {
			continue
		}
		if err != nil {
			return err
		}
		for _, message := range found[0].Messages {
			last = message.ID
			if !heard([]byte(message.Values["p"].(string) + "\n")) {
				return nil
			}
		}
	}
	return ctx.Err()
}

// natsStreams: one JetStream stream, a subject for each of ours.
type natsStreams struct{ stream jetstream.JetStream }

func newNats(url string) (Target, error) {
	connection, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	stream, err := jetstream.New(connection)
	return &natsStreams{stream}, err
}

func (n *natsStreams) Create(ctx context.Context, count int) ([]string, error) {
	names := make([]string, count)
	for number := range names {
		names[number] = fmt.Sprintf("load-%d-%d", time.Now().UnixNano(), number)
		config := jetstream.StreamConfig{Name: names[number], Subjects: []string{names[number]}}
		if _, err := n.stream.CreateStream(ctx, config); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// JetStream has no batch that is acknowledged whole, so a batch is one message.
func (n *natsStreams) Publish(ctx context.Context, stream string, payloads []string) error {
	_, err := n.stream.Publish(ctx, stream, []byte(strings.Join(payloads, "\n")+"\n"))
	return err
}

func (n *natsStreams) Subscribe(ctx context.Context, stream string, opened func(), heard func([]byte) bool) error {
	consumer, err := n.stream.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	opened()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if !heard(message.Data()) {
			return nil
		}
	}
}
