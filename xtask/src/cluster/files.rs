//! The files of a cluster: `initdb`, a certificate, and settings that let in nobody without TLS and SCRAM.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::SUPERUSER;
use super::account::Account;
use super::binaries::Binaries;
use crate::loopback::random_secret;
use crate::process::run;
use crate::trouble::{Doing, Result};

const INITDB_BOUND: Duration = Duration::from_secs(120);
const OPENSSL_BOUND: Duration = Duration::from_secs(60);
const COPY_BOUND: Duration = Duration::from_secs(60);

const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
ssl = on
ssl_cert_file = '../server.crt'
ssl_key_file = '../server.key'
password_encryption = 'scram-sha-256'
max_connections = 40
shared_buffers = 16MB
log_line_prefix = '%m [%p] %u '
";
const CERTIFICATE_REQUEST: &str = "
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = localhost
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
";
const HOST_RULES: &str = "hostssl all all 127.0.0.1/32 scram-sha-256\n";

/// Makes a cluster's files under `home`. Returns the superuser's password.
pub(super) fn initialise(home: &Path, binaries: &Binaries, account: &Account) -> Result<String> {
    fs::create_dir_all(home).doing(format!("creating {}", home.display()))?;
    fs::set_permissions(home, Permissions::from_mode(0o700)).doing("closing PostgreSQL's directory")?;
    account.own(home)?;
    let password = random_secret()?;
    private_file(&home.join("password"), &password, account)?;
    initdb(home, binaries, account)?;
    certificate(home, account)?;
    append(&home.join("data/postgresql.conf"), SETTINGS)?;
    fs::write(home.join("data/pg_hba.conf"), HOST_RULES).doing("writing pg_hba.conf")?;
    private_file(&home.join("log"), "", account)?;
    Ok(password)
}

fn private_file(path: &Path, text: &str, account: &Account) -> Result<()> {
    fs::write(path, text).doing(format!("writing {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).doing(format!("closing {}", path.display()))?;
    account.own(path)
}

fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = File::options().append(true).open(path).doing(format!("opening {}", path.display()))?;
    file.write_all(text.as_bytes()).doing(format!("writing {}", path.display()))
}

fn initdb(home: &Path, binaries: &Binaries, account: &Account) -> Result<()> {
    let mut command = account.command(&binaries.server("initdb"));
    command.arg("-D").arg(home.join("data")).args(["-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]);
    command.arg("--pwfile").arg(home.join("password")).arg("--no-sync").current_dir(home);
    run(&mut command, INITDB_BOUND)?.success("`initdb`").map(drop)
}

/// A self-signed certificate for `localhost` and `127.0.0.1`, good for a month; a server's, not an authority's.
fn certificate(home: &Path, account: &Account) -> Result<()> {
    let request = home.join("server.cnf");
    fs::write(&request, CERTIFICATE_REQUEST).doing(format!("writing {}", request.display()))?;
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "30",
    ]);
    command.arg("-config").arg(request);
    command.arg("-keyout").arg(home.join("server.key")).arg("-out").arg(home.join("server.crt"));
    run(&mut command, OPENSSL_BOUND)?.success("`openssl req`")?;
    for name in ["server.key", "server.crt"] {
        let path = home.join(name);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).doing(format!("closing {}", path.display()))?;
        account.own(&path)?;
    }
    Ok(())
}

/// Copies a cluster that was initialised before, or initialises it. Returns the superuser's password.
///
/// Many test processes may come at once: a lock lets one of them make the template.
pub(super) fn copy_of_template(home: &Path, cache: &Path, binaries: &Binaries, account: &Account) -> Result<String> {
    fs::create_dir_all(cache).doing(format!("creating {}", cache.display()))?;
    let name = format!("postgres-{}-{}", binaries.version(), if *account == Account::Own { "own" } else { "other" });
    let template = cache.join(&name);
    let lock = File::create(cache.join("lock")).doing("opening the template's lock")?;
    lock.lock().doing("waiting for the template's lock")?;
    if !fresh(&template) {
        let _ = fs::remove_dir_all(&template);
        initialise(home, binaries, account)?;
        let half = cache.join(format!("{name}.half"));
        let _ = fs::remove_dir_all(&half);
        copy(home, &half)?;
        fs::rename(&half, &template).doing("keeping the template")?;
        fs::remove_dir_all(home).doing("starting from the template")?;
    }
    drop(lock);
    copy(&template, home)?;
    fs::read_to_string(home.join("password")).doing("reading the superuser's password")
}

/// The certificate in a template ends after a month.
fn fresh(template: &Path) -> bool {
    const AGE_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
    let made = fs::metadata(template.join("server.crt")).and_then(|meta| meta.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < AGE_MAX))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").arg("-a").arg(from).arg(to), COPY_BOUND)?.success("copying the cluster").map(drop)
}
