package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const readBytes = 64 << 10

func client(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, DisableCompression: true,
	}}
}

func call(ctx context.Context, c *http.Client, method, url, kind, key string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", kind)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s %s", method, url, response.Status, text)
	}
	return text, err
}

func listen(ctx context.Context, c *http.Client, url, key string, opened func(), heard func([]byte) bool) error {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	opened()
	buffer := make([]byte, readBytes)
	for {
		count, err := response.Body.Read(buffer)
		if count > 0 && !heard(buffer[:count]) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ranvier speaks our own API.
type ranvier struct {
	url, key string
	client   *http.Client
}

type event struct {
	Type    string `json:"event_type"`
	Origin  string `json:"origin"`
	Source  string `json:"source"`
	Payload string `json:"payload"`
}

func (r *ranvier) Create(ctx context.Context, count int) ([]string, error) {
	names := make([]string, count)
	for number := range names {
		text, err := call(ctx, r.client, "POST", r.url+"/v1/axons", "application/json", r.key, []byte("{}"))
		if err != nil {
			return nil, err
		}
		var axon struct{ ID string }
		if err := json.Unmarshal(text, &axon); err != nil {
			return nil, err
		}
		names[number] = axon.ID
	}
	return names, nil
}

func (r *ranvier) Publish(ctx context.Context, stream string, payloads []string) error {
	events := make([]event, len(payloads))
	for number, payload := range payloads {
		events[number] = event{"bench", "EXTERNAL_EVENT", "load", payload}
	}
	var body []byte
	var err error
	if len(events) == 1 {
		body, err = json.Marshal(events[0])
	} else {
		body, err = json.Marshal(events)
	}
	if err != nil {
		return err
	}
	_, err = call(ctx, r.client, "POST", r.url+"/v1/axons/"+stream+"/publish", "application/json", r.key, body)
	return err
}

func (r *ranvier) Subscribe(ctx context.Context, stream string, opened func(), heard func([]byte) bool) error {
	return listen(ctx, r.client, r.url+"/v1/axons/"+stream+"/subscribe/sse", r.key, opened, heard)
}

// streams speaks the Durable Streams protocol (its PROTOCOL.md): PUT, POST, GET ?offset=-1&live=sse.
type streams struct {
	url    string
	client *http.Client
}

func (s *streams) Create(ctx context.Context, count int) ([]string, error) {
	names := make([]string, count)
	for number := range names {
		names[number] = fmt.Sprintf("load-%d-%d", time.Now().UnixNano(), number)
		if _, err := call(ctx, s.client, "PUT", s.url+"/"+names[number], "text/plain", "", nil); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func (s *streams) Publish(ctx context.Context, stream string, payloads []string) error {
	body := []byte(strings.Join(payloads, "\n") + "\n")
	_, err := call(ctx, s.client, "POST", s.url+"/"+stream, "text/plain", "", body)
	return err
}

// The server ends a stream of its own after some time; a reader goes on at the offset that the last
// control event told.
func (s *streams) Subscribe(ctx context.Context, stream string, opened func(), heard func([]byte) bool) error {
	offset := "-1"
	for ctx.Err() == nil {
		var tail offsetReader
		done := false
		err := listen(ctx, s.client, s.url+"/"+stream+"?offset="+offset+"&live=sse", "", opened, func(chunk []byte) bool {
			tail.feed(chunk)
			done = !heard(chunk)
			return !done
		})
		if done || (err != nil && err != io.EOF) {
			return err
		}
		if tail.offset != "" {
			offset = tail.offset
		}
	}
	return ctx.Err()
}

const offsetMark = `"streamNextOffset":"`

type offsetReader struct {
	kept   []byte
	offset string
}

func (o *offsetReader) feed(chunk []byte) {
	o.kept = append(o.kept, chunk...)
	if at := bytes.LastIndex(o.kept, []byte(offsetMark)); at >= 0 {
		rest := o.kept[at+len(offsetMark):]
		if end := bytes.IndexByte(rest, '"'); end >= 0 {
			o.offset = string(rest[:end])
		}
	}
	if len(o.kept) > 512 {
		o.kept = append(o.kept[:0], o.kept[len(o.kept)-512:]...)
	}
}
