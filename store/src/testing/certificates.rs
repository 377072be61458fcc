//! An authority of one's own, with a server's and a client's certificate.

use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// Makes all of it. The server's certificate is for 127.0.0.1 and localhost.
const MAKE: &str = r#"
set -e
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.ec"; openssl pkcs8 -topk8 -nocrypt -in "$1.ec" -out "$1.key"; }
key ca
openssl req -x509 -new -key ca.key -days 2 -subj "/CN=test authority" -out ca.crt \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
for who in server client; do
  key $who
  openssl req -new -key $who.key -subj "/CN=$who" -out $who.csr
  printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n' > $who.ext
  openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $who.ext -out $who.crt
done
"#;

/// Files of a certificate authority, a server and a client.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Makes new ones.
    ///
    /// # Panics
    /// If openssl does not.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("certificates-").tempdir().expect("a temporary directory");
        let made = Command::new("sh").args(["-c", MAKE]).current_dir(dir.path()).output().expect("a shell");
        assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// The server's certificate.
    #[must_use]
    pub fn server_cert_file(&self) -> PathBuf {
        self.file("server.crt")
    }

    /// The server's key.
    #[must_use]
    pub fn server_key_file(&self) -> PathBuf {
        self.file("server.key")
    }

    /// A client's certificate.
    #[must_use]
    pub fn client_cert_file(&self) -> PathBuf {
        self.file("client.crt")
    }

    /// The client's key.
    #[must_use]
    pub fn client_key_file(&self) -> PathBuf {
        self.file("client.key")
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
