package presence

import "time"

// Quiet returns when nothing is on its way to a viewer, nor waits for its time
// but the end of a bucket of level coarse.
func Quiet(d *Directory) {
	for {
		ticks := 0
		for _, b := range d.all() {
			b.mu.RLock()
			if b.tick != nil {
				ticks++
			}
			b.mu.RUnlock()
		}
		d.flusher.mu.Lock()
		busy := d.flusher.workers > 0 || len(d.flusher.ready) > 0 || len(d.flusher.due) > 0
		d.agenda.mu.Lock()
		for _, p := range d.agenda.list {
			if p.idle {
				ticks++
			}
		}
		busy = busy || d.agenda.doing > 0 || len(d.agenda.list) > ticks
		d.agenda.mu.Unlock()
		d.flusher.mu.Unlock()
		if !busy {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
