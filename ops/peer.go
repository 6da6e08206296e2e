package ops

import (
	"net"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// User is who called: the name of the account of this machine that the process
// at the other end of the socket runs under, its number where it has no name.
func (c *Call) User() string { return c.user }

// callerOf asks the kernel who is at the other end of a connection. Where it is
// no socket, it is this process.
func callerOf(conn net.Conn) string {
	uid := os.Getuid()
	if u, ok := conn.(*net.UnixConn); ok {
		raw, err := u.SyscallConn()
		if err != nil {
			return "unknown"
		}
		var cred *unix.Ucred
		var failed error
		if err := raw.Control(func(fd uintptr) {
			cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		}); err != nil || failed != nil {
			return "unknown"
		}
		uid = int(cred.Uid)
	}
	number := strconv.Itoa(uid)
	if account, err := user.LookupId(number); err == nil {
		return account.Username
	}
	return "uid " + number
}
