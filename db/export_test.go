package db

import "time"

// Impatient has connections to MariaDB that are made from now on wait no
// longer than this for each answer, and for a connection half as long.
func (d *DB) Impatient(answer, dial time.Duration) {
	d.server.ReadTimeout, d.server.WriteTimeout, d.server.Timeout = answer, answer, dial
}

// Drain closes the connections that nobody uses.
func (d *DB) Drain() {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	for _, c := range d.pool.free {
		c.close()
	}
	d.pool.free = nil
}

// Waiting is how many jobs wait for SQLite's writer.
func (d *DB) Waiting() int {
	d.writer.mu.Lock()
	defer d.writer.mu.Unlock()
	return len(d.writer.archive) + len(d.writer.rest)
}

// PoolWaiting is how many wait for a connection.
func (d *DB) PoolWaiting() int {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	return d.pool.waiting
}
