package overload

import "time"

// ReadSlice is one reading.
func ReadSlice(s *Signal) { s.read(time.Now()) }
