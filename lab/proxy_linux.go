package lab

import (
	"crypto/md5"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Ports of the site's proxies, one for each way to authenticate. The user is
// ann, the password secret.
var proxyPorts = map[string]int{"open": 3128, "basic": 3129, "digest": 3130, "negotiate": 3131, "tinyproxy": 3132, "ntlm": 3133}

const (
	proxyUser     = "ann"
	proxyPassword = "secret"
	realm         = "CORP.TEST"
	squidHelpers  = "/usr/lib/squid/"
)

// proxyURL names one of the site's proxies.
func proxyURL(kind string) string {
	return fmt.Sprintf("http://%s:%d", names["proxy"], proxyPorts[kind])
}

// StartProxies starts squid, once for each way to authenticate, tinyproxy, and the
// Kerberos key distribution centre that one of them needs. CONNECT is
// allowed to port 443 only, as companies do.
func (w *World) StartProxies() {
	w.t.Helper()
	w.startKDC()
	w.startTinyproxy()
	for kind := range proxyPorts {
		if kind != "tinyproxy" {
			w.StartSquid(kind)
		}
	}
}

// StartSquid starts one of the proxies; negotiate needs the KDC.
func (w *World) StartSquid(kind string) {
	w.t.Helper()
	auth := map[string]string{
		"open":   "",
		"basic":  "auth_param basic program " + squidHelpers + "basic_ncsa_auth " + w.file("basic", proxyUser+":"+apr1()+"\n"),
		"digest": "auth_param digest program " + squidHelpers + "digest_file_auth -c " + w.file("digest", digestLine()) + "\nauth_param digest realm corp",
		"negotiate": "auth_param negotiate program " + squidHelpers + "negotiate_kerberos_auth -k " + w.path("http.keytab") +
			" -s HTTP/" + names["proxy"] + "@" + realm,
		// Its handshake is NTLM's, its answer to any password yes.
		"ntlm": "auth_param ntlm program " + squidHelpers + "ntlm_fake_auth",
	}
	access := "http_access allow all"
	if kind != "open" {
		access = "acl known proxy_auth REQUIRED\nhttp_access deny !known\nhttp_access allow all"
	}
	conf := w.file("squid-"+kind+".conf", fmt.Sprintf(`%s
http_port %d
acl tls port 443
acl CONNECT method CONNECT
http_access deny !CONNECT
http_access deny CONNECT !tls
%s
cache deny all
cache_log /dev/null
hosts_file /etc/hosts
pinger_enable off
access_log none
pid_filename none
shutdown_lifetime 0 seconds
visible_hostname %s
`, auth[kind], proxyPorts[kind], access, names["proxy"]))
	p := w.Start("proxy", "squid", "-N", "-d", "1", "-f", conf)
	if !p.Until("Accepting HTTP", startWithin) {
		w.t.Fatalf("squid (%s) did not start:\n%s", kind, p.log.String())
	}
}

// startTinyproxy starts the other proxy that is often met, with Basic.
func (w *World) startTinyproxy() {
	w.t.Helper()
	conf := w.file("tinyproxy.conf", fmt.Sprintf("Port %d\nTimeout 600\nMaxClients 100\nLogLevel Info\nConnectPort 443\nBasicAuth %s %s\n",
		proxyPorts["tinyproxy"], proxyUser, proxyPassword))
	if p := w.Start("proxy", "tinyproxy", "-d", "-c", conf); !p.Until("Accepting connections", startWithin) {
		w.t.Fatalf("tinyproxy did not start:\n%s", p.log.String())
	}
}

func (w *World) path(name string) string { return filepath.Join(w.dir, name) }

// file writes a file that squid's own user can read.
func (w *World) file(name, body string) string {
	w.t.Helper()
	w.must(os.WriteFile(w.path(name), []byte(body), 0o644))
	return w.path(name)
}

// apr1 is the password as htpasswd writes it.
func apr1() string {
	out, err := exec.Command("openssl", "passwd", "-apr1", proxyPassword).Output()
	if err != nil {
		return "!"
	}
	return strings.TrimSpace(string(out))
}

// digestLine holds HA1 (RFC 7616 §3.4.2), in the form of digest_file_auth -c.
func digestLine() string {
	return fmt.Sprintf("%s:corp:%x\n", proxyUser, md5.Sum([]byte(proxyUser+":corp:"+proxyPassword)))
}

// startKDC makes a Kerberos realm with one person and the proxy's service.
func (w *World) startKDC() {
	w.t.Helper()
	w.file("krb5.conf", fmt.Sprintf(`[libdefaults]
 default_realm = %[1]s
 dns_lookup_kdc = false
 dns_lookup_realm = false
 udp_preference_limit = 1
[realms]
 %[1]s = {
  kdc = %[2]s
 }
[domain_realm]
 .corp.test = %[1]s
`, realm, names["proxy"]))
	w.file("kdc.conf", fmt.Sprintf(`[kdcdefaults]
 kdc_ports = 88
 kdc_tcp_ports = 88
[realms]
 %[1]s = {
  database_name = %[2]s/principal
  key_stash_file = %[2]s/stash
  acl_file = %[2]s/kadm5.acl
 }
`, realm, w.dir))
	env := []string{"env", "KRB5_CONFIG=" + w.path("krb5.conf"), "KRB5_KDC_PROFILE=" + w.path("kdc.conf")}
	run := func(args ...string) { w.in("proxy", append(env, args...)...) }
	run("kdb5_util", "create", "-s", "-r", realm, "-P", "master")
	run("kadmin.local", "-q", "addprinc -pw "+proxyPassword+" "+proxyUser)
	run("kadmin.local", "-q", "addprinc -randkey HTTP/"+names["proxy"])
	run("kadmin.local", "-q", "ktadd -k "+w.path("http.keytab")+" HTTP/"+names["proxy"])
	w.must(os.Chmod(w.path("http.keytab"), 0o644))
	if p := w.Start("proxy", append(env, "krb5kdc", "-n")...); !p.Until("starting", startWithin) {
		w.t.Fatal("the KDC did not start")
	}
}
