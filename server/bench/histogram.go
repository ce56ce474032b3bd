//go:build linux

package main

import "time"

// histogram counts how many took so many microseconds.
type histogram []int

func (h *histogram) add(took time.Duration) { h.addCount(int(took.Microseconds()), 1) }

func (h *histogram) addCount(microseconds, count int) {
	for len(*h) <= microseconds {
		*h = append(*h, make([]int, microseconds+1-len(*h))...)
	}
	(*h)[microseconds] += count
}

func (h histogram) total() int {
	total := 0
	for _, count := range h {
		total += count
	}
	return total
}

// percentile returns the time that p percent did not exceed.
func (h histogram) percentile(p float64) time.Duration {
	rank, total := p/100*float64(h.total()), 0
	for microseconds, count := range h {
		if total += count; count > 0 && float64(total) >= rank {
			return time.Duration(microseconds) * time.Microsecond
		}
	}
	return 0
}
