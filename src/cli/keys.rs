//! `engine keys`: the keys that approvals are signed with. The public part stands in the policy of an environment.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::args::{KeyVerb, KeysArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::print;
use crate::base::{SecretKey, limits};

/// Does what `engine keys` was asked.
pub(super) fn run(args: &KeysArgs) -> Answer {
    let public = match &args.verb {
        KeyVerb::New { file } => make(file)?.public(),
        KeyVerb::Show { file } => read(file)?.public(),
    };
    print::line(&public.to_string());
    if let KeyVerb::New { file } = &args.verb {
        print::note(&format!("the secret part is in `{}`: keep it, give it to nobody", file.display()));
        print::note("the public part goes into the policy of an environment: approvals: {keys: {NAME: …}}");
    }
    Ok(Exit::Success)
}

fn make(file: &Path) -> Result<SecretKey, Fault> {
    let fault = |why: String| Fault::new(Exit::Environment, format!("failed to make `{}`: {why}", file.display()));
    let mut seed = Zeroizing::new([0_u8; 32]);
    SystemRandom::new().fill(&mut *seed).map_err(|_| fault("the system gives no random numbers".to_owned()))?;
    let key = SecretKey::of(seed);
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut file| file.write_all(key.text().as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| fault(error.to_string()))?;
    Ok(key)
}

/// Reads a key, which nobody else may be able to do.
pub(super) fn read(file: &Path) -> Result<SecretKey, Fault> {
    let fault = |why: String| Fault::new(Exit::Environment, format!("the key file `{}` {why}", file.display()));
    let io = |error: std::io::Error| fault(format!("cannot be read: {error}"));
    let opened = File::open(file).map_err(io)?;
    let mode = opened.metadata().map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        let why = format!("can be read by others (mode {:04o})", mode & 0o7777);
        return Err(fault(why).help(format!("chmod 600 {}", file.display())));
    }
    let mut text = Zeroizing::new(String::new());
    opened.take(limits::MAX_REQUEST_BYTES).read_to_string(&mut text).map_err(io)?;
    SecretKey::read(&text).map_err(fault)
}
