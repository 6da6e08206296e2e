package mariadb

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
)

// StartPair starts a primary and one replica of it, which follows by GTID,
// under a directory, see Start.
func StartPair(ctx context.Context, dir string) (primary, replica *Server, err error) {
	install, err := find("mariadb-install-db", "mysql_install_db")
	if err != nil {
		return nil, nil, err
	}
	if primary, err = start(ctx, &Server{Dir: filepath.Join(dir, "primary"), number: 1}, install); err != nil {
		return nil, nil, err
	}
	if replica, err = start(ctx, &Server{Dir: filepath.Join(dir, "replica"), number: 2}, install); err != nil {
		return nil, nil, errors.Join(err, primary.Stop())
	}
	// What installing wrote is in no binary log: the two have the same users.
	follow := fmt.Sprintf("SET GLOBAL gtid_slave_pos=''; CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='root', "+
		"MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE; SET GLOBAL read_only=1", primary.Port)
	if _, err := replica.Execute(ctx, follow); err != nil {
		return nil, nil, errors.Join(err, replica.Stop(), primary.Stop())
	}
	return primary, replica, nil
}

// binlog are the flags of a server that is one of a pair, or of one that is not.
func (s *Server) binlog() []string {
	if s.number == 0 {
		return []string{"--skip-log-bin"}
	}
	return []string{"--server-id=" + strconv.Itoa(s.number), "--log-bin=binlog", "--binlog-format=ROW", "--log-slave-updates", "--gtid-strict-mode=1"}
}

// Execute runs statements, separated by semicolons, as root.
func (s *Server) Execute(ctx context.Context, statements string) (string, error) {
	client, err := find("mariadb", "mysql")
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, client, "--no-defaults", "--user=root", "--protocol=socket", "--socket="+s.socket(),
		"--connect-timeout=5", "--vertical", "--execute="+statements).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("execute %s: %w: %s", statements, err, tail(out))
	}
	return string(out), nil
}
