package stream

import (
	"slices"
	"sync"
	"testing"
)

// TestRunQueue: settled ones go first, each class in its order, and of those
// that negotiate one has its turn now and then.
func TestRunQueue(t *testing.T) {
	seq := func(from, n int) (list []int) {
		for i := range n {
			list = append(list, from+i)
		}
		return list
	}
	for name, test := range map[string]struct {
		settled, negotiating []int
		want                 []int
	}{
		"one class":   {nil, seq(100, 3), seq(100, 3)},
		"other class": {seq(0, 90), nil, seq(0, 90)},
		"few settled": {seq(0, 3), seq(100, 3), append(seq(0, 3), seq(100, 3)...)},
		"many settled": {seq(0, 2*inARow+1), seq(100, 3),
			slices.Concat(seq(0, inARow), seq(100, 1), seq(inARow, inARow), seq(101, 1), seq(2*inARow, 1), seq(102, 1))},
	} {
		t.Run(name, func(t *testing.T) {
			var q runQueue[int]
			var done sync.WaitGroup
			q.setUp(1, 1, &done, func() { t.Error("a second worker") })
			q.workers = 1 // this test
			q.put(negotiating, test.negotiating...)
			q.put(settled, test.settled...)
			var got []int
			for range test.want {
				it, class, ok := q.take()
				if !ok || (class == negotiating) != (it >= 100) {
					t.Fatal(it, class, ok)
				}
				got = append(got, it)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
			q.end()
			if _, _, ok := q.take(); ok || q.put(settled, 1) {
				t.Error("it goes on after its end")
			}
			done.Wait()
		})
	}
}

// TestRunQueueNobodyStarves: with settled ones without end, all that negotiate
// have their turn.
func TestRunQueueNobodyStarves(t *testing.T) {
	var q runQueue[int]
	var done sync.WaitGroup
	q.setUp(1, 1, &done, func() { t.Error("a second worker") })
	q.workers = 1
	const n = 50
	for i := range n {
		q.put(negotiating, i)
	}
	q.put(settled, -1, -1)
	next := 0
	for range n * (inARow + 1) {
		it, _, _ := q.take()
		if it < 0 {
			q.put(settled, -1)
			continue
		}
		if it != next {
			t.Fatalf("%d instead of %d", it, next)
		}
		next++
	}
	if next != n {
		t.Errorf("%d of %d had their turn", next, n)
	}
	for q.n > 0 {
		q.take()
	}
	q.end()
	done.Wait()
}

// TestRunQueueGrows: while a worker is blocked others are started, and end.
func TestRunQueueGrows(t *testing.T) {
	var q runQueue[func()]
	var done sync.WaitGroup
	q.setUp(1, 4, &done, func() {
		for {
			do, _, ok := q.take()
			if !ok {
				return
			}
			do()
		}
	})
	var blocked, after sync.WaitGroup
	release := make(chan struct{})
	blocked.Add(3)
	after.Add(1000)
	for range 3 {
		q.put(settled, func() { blocked.Done(); <-release })
	}
	blocked.Wait()
	for range 1000 {
		q.put(negotiating, after.Done)
	}
	after.Wait()
	close(release)
	q.end()
	done.Wait()
	if q.workers != 0 {
		t.Errorf("%d workers are left", q.workers)
	}
}
