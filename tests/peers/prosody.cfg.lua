-- What Prosody is given. What stands in double braces is filled in; everything else is as it stands.
daemonize = false
run_as_root = true
pidfile = "{{.Dir}}/prosody.pid"
data_path = "{{.Dir}}/data"
log = { warn = "{{.Dir}}/log" }

network_backend = "epoll"
network_settings = { tcp_backlog = 4096 }
gc = { mode = "generational" }

-- No mod_limits: nothing is slowed down.
modules_enabled = {
	"roster"; "saslauth"; "disco"; "smacks";
	{{if .Groups}}"groups";{{end}}
	{{if .Archive}}"mam";{{end}}
}
modules_disabled = { "s2s"; "s2s_auth_certs"; "tls"; {{if not .Offline}}"offline"{{end}} }
groups_file = "{{.Dir}}/groups.txt"
smacks_hibernation_time = 300
default_archive_policy = true
archive_expires_after = "never"

-- Files, its default, are faster here than its SQL storage, which is measured
-- as well, as prosody-sql, where it matters.
default_storage = "internal"
{{- if .SQL}}
storage = { archive = "sql" }
sql = { driver = "MySQL", database = "prosody", username = "prosody", password = "prosody", host = "127.0.0.1", port = {{.Database}} }
{{- end}}
authentication = "internal_hashed"
c2s_require_encryption = false
c2s_interfaces = { "127.0.0.1" }
c2s_ports = { {{.Port}} }
c2s_direct_tls_ports = { }

VirtualHost "{{.Domain}}"
