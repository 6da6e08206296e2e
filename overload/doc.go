// Package overload knows how long work waits, and what matters how much.
//
// # The classes
//
// A [Class] is one of eight, [Care] first, [Outreach] last. A [Matter] has one;
// whether two people are joined by a care relation is the caller's look-up.
//
// # The signal
//
// Overload is measured by queueing time, at the [Place]s where work waits: each
// adds how long it was, by class, when the waiting is over, and can tell how
// long the oldest has waited that waits still. So a place where nothing moves
// any more is seen as well as one that is slow, and one where nothing waits is
// not.
//
// [Signal] reads all places every [Slice] and keeps the last ten readings: the
// window of a second that [Signal.Window] tells of. Its [Signal.Wait] is the
// queueing time of the classes that people feel, 0 to 2:
//
//	of a place, in a slice:  w = max(mean of what began, age of the oldest), 0 if there is neither
//	of the slice:            w = max over the places, not above twice the target
//	smoothed:                s += (w - s) / 5     the memory is half a second
//	pressure:                min(1, s / target)   target: the dial overload.target
//
// The worst place counts, not the sum: what waits at the archive waits there
// for the writer of the database as well. A slice that was stuck raises the
// pressure by 0.4, a fourth in a row to 1; without waiting it halves in a third
// of a second. The limit of twice the target keeps one long stall from lasting.
//
// # Locks
//
// Adding takes none: one atomic addition to one of four copies of a histogram.
// Signal.mu guards the readings; the leaves of those who tell of their oldest work
// are taken under it.
package overload
