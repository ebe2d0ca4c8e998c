package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Result is what is printed.
type Result map[string]float64

// A payload carries when it was made between two marks that no framing escapes.
const mark, stampDigits = "~", 19

// A prime, so that every stream has its turn and as many producers as streams keep one each.
const stride = 7919

func payload(size int, at time.Time) string {
	head := fmt.Sprintf(`{"at":"%s%0*d%s","pad":"`, mark, stampDigits, at.UnixNano(), mark)
	return head + strings.Repeat("x", max(0, size-len(head)-2)) + `"}`
}

// stamps finds the times in a byte stream that comes in pieces.
type stamps struct{ kept []byte }

func (s *stamps) feed(chunk []byte, each func(int64)) {
	data := append(s.kept, chunk...)
	for {
		at := bytes.Index(data, []byte(mark))
		if at < 0 {
			data = nil
			break
		}
		if len(data) < at+stampDigits+2 {
			data = data[at:]
			break
		}
		value, err := strconv.ParseInt(string(data[at+1:at+1+stampDigits]), 10, 64)
		if err != nil {
			data = data[at+1:]
			continue
		}
		each(value)
		data = data[at+stampDigits+2:]
	}
	s.kept = append(s.kept[:0:0], data...)
}

func publish(ctx context.Context, target Target, names []string, s Settings) (Result, error) {
	type share struct {
		took []time.Duration
		err  error
	}
	shares := make([]share, s.Producers)
	var group sync.WaitGroup
	began := time.Now()
	for number := range shares {
		group.Add(1)
		go func() {
			defer group.Done()
			mine := &shares[number]
			batch := make([]string, s.Batch)
			for turn := 0; time.Since(began) < s.Duration; turn++ {
				at := time.Now()
				for index := range batch {
					batch[index] = payload(s.PayloadBytes, at)
				}
				// Over many streams each publish goes to another, far from the last.
				name := names[(number+turn*s.Producers)*stride%len(names)]
				if mine.err = target.Publish(ctx, name, batch); mine.err != nil {
					return
				}
				mine.took = append(mine.took, time.Since(at))
			}
		}()
	}
	group.Wait()
	elapsed := time.Since(began).Seconds()
	var all []time.Duration
	for _, share := range shares {
		if share.err != nil {
			return nil, share.err
		}
		all = append(all, share.took...)
	}
	result := quantiles(all)
	result["per_second"] = float64(len(all)*s.Batch) / elapsed
	return result, nil
}

func deliver(ctx context.Context, target Target, name string, s Settings) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wanted := int(s.Rate * s.Duration.Seconds())
	took := make([][]time.Duration, s.Subscribers)
	var ready, done sync.WaitGroup
	var failure atomic.Value
	for number := range took {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			var found stamps
			mine := make([]time.Duration, 0, wanted)
			isReady := sync.OnceFunc(ready.Done)
			err := target.Subscribe(ctx, name, isReady, func(chunk []byte) bool {
				now := time.Now().UnixNano()
				found.feed(chunk, func(at int64) { mine = append(mine, time.Duration(now-at)) })
				return len(mine) < wanted
			})
			if err != nil && len(mine) < wanted {
				failure.Store(fmt.Errorf("subscriber got %d of %d: %w", len(mine), wanted, err))
			}
			isReady()
			took[number] = mine
		}()
	}
	ready.Wait()
	ticks := time.NewTicker(time.Duration(float64(time.Second) / s.Rate))
	defer ticks.Stop()
	for range wanted {
		<-ticks.C
		if err := target.Publish(ctx, name, []string{payload(s.PayloadBytes, time.Now())}); err != nil {
			return nil, err
		}
	}
	limit := time.AfterFunc(30*time.Second, cancel)
	defer limit.Stop()
	done.Wait()
	if err, is := failure.Load().(error); is {
		return nil, err
	}
	return quantiles(slices.Concat(took...)), nil
}

func replay(ctx context.Context, target Target, name string, s Settings) (Result, error) {
	batch := make([]string, 100)
	for index := range batch {
		batch[index] = payload(s.PayloadBytes, time.Now())
	}
	rounds := s.Events / len(batch)
	for range rounds {
		if err := target.Publish(ctx, name, batch); err != nil {
			return nil, err
		}
	}
	count, wanted := 0, rounds*len(batch)
	var found stamps
	began := time.Now()
	err := target.Subscribe(ctx, name, func() {}, func(chunk []byte) bool {
		found.feed(chunk, func(int64) { count++ })
		return count < wanted
	})
	if count < wanted {
		return nil, fmt.Errorf("replay ended at %d of %d: %w", count, wanted, err)
	}
	elapsed := time.Since(began).Seconds()
	return Result{"events": float64(count), "per_second": float64(count) / elapsed}, nil
}

// idle opens subscribers, says so on stderr, and holds them until its stdin is closed.
func idle(ctx context.Context, target Target, name string, s Settings) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ready, done sync.WaitGroup
	var opened atomic.Int64
	for range s.Subscribers {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			isReady := sync.OnceFunc(ready.Done)
			_ = target.Subscribe(ctx, name, func() { opened.Add(1); isReady() }, func([]byte) bool { return true })
			isReady()
		}()
	}
	ready.Wait()
	fmt.Fprintln(os.Stderr, "ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	done.Wait()
	return Result{"subscribers": float64(opened.Load())}, nil
}

func quantiles(took []time.Duration) Result {
	if len(took) == 0 {
		return Result{"count": 0}
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))].Microseconds()) / 1000
	}
	return Result{"count": float64(len(took)), "p50_ms": at(0.5), "p99_ms": at(0.99)}
}
