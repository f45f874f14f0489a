#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn flags(host: Option<&str>, token: Option<&str>, cloud: bool) -> TargetFlags {
    TargetFlags {
        cloud,
        local: false,
        branch: None,
        host: host.map(str::to_owned),
        token: token.map(str::to_owned),
    }
}

fn cloud(url: &str, token: &str) -> Target {
    Target::Cloud {
        url: Url::parse(url).unwrap(),
        token: Secret::new(token),
    }
}

#[test]
fn a_flag_beats_the_environment_and_the_environment_beats_the_file() {
    let env = Environment::from([("TB_HOST", "env.example.com"), ("TB_TOKEN", "env")]);
    let file = TinybFile {
        host: Some("file.example.com".into()),
        token: Some("file".into()),
        ..TinybFile::default()
    };
    let none = Environment::default();
    assert_eq!(
        target(
            &flags(Some("flag.example.com:81"), Some("flag"), true),
            &env,
            &file
        )
        .unwrap(),
        cloud("https://flag.example.com:81/", "flag")
    );
    assert_eq!(
        target(&flags(None, None, true), &env, &file).unwrap(),
        cloud("https://env.example.com/", "env")
    );
    assert_eq!(
        target(&flags(None, None, true), &none, &file).unwrap(),
        cloud("https://file.example.com/", "file")
    );
}

#[test]
fn a_host_in_the_environment_alone_stays_local_and_a_host_flag_does_not() {
    let env = Environment::from([
        ("TB_HOST", "https://x"),
        ("TB_TOKEN", "t"),
        ("TB_LOCAL_STATE", "/s"),
    ]);
    let file = TinybFile::default();
    assert_eq!(
        target(&flags(None, None, false), &env, &file).unwrap(),
        Target::Local {
            host: "127.0.0.1".into(),
            port: None,
            state: "/s".into(),
            token: None
        }
    );
    assert_eq!(
        target(&flags(Some("http://y"), None, false), &env, &file).unwrap(),
        cloud("http://y/", "t")
    );
}

#[test]
fn cloud_without_a_host_or_a_token_says_what_to_set() {
    let none = Environment::default();
    let file = TinybFile::default();
    let no_host = target(&flags(None, None, true), &none, &file).unwrap_err();
    assert_eq!(no_host.exit, Exit::Usage);
    assert!(no_host.hint.unwrap().contains("TB_HOST"));
    let no_token = target(&flags(Some("x.example.com"), None, true), &none, &file).unwrap_err();
    assert_eq!(no_token.exit, Exit::Refused);
    assert!(no_token.hint.unwrap().contains("TB_TOKEN"));
}

#[test]
fn addresses_lose_their_path_and_passwords_are_refused() {
    assert_eq!(
        server_url("http://h:1/a/b?c#d").unwrap().as_str(),
        "http://h:1/"
    );
    assert_eq!(
        server_url("https://user:secret@h").unwrap_err().exit,
        Exit::Usage
    );
    assert_eq!(server_url("ftp://h").unwrap_err().exit, Exit::Usage);
}

#[test]
fn port_zero_and_no_port_leave_it_to_the_state_folder() {
    for value in ["0", ""] {
        let env = Environment::from([("TB_LOCAL_PORT", value), ("TB_LOCAL_STATE", "/s")]);
        let found = target(&TargetFlags::default(), &env, &TinybFile::default()).unwrap();
        assert!(
            matches!(found, Target::Local { port: None, .. }),
            "{value:?}"
        );
    }
    let env = Environment::from([("TB_LOCAL_PORT", "9000"), ("TB_LOCAL_STATE", "/s")]);
    assert!(matches!(
        target(&TargetFlags::default(), &env, &TinybFile::default()).unwrap(),
        Target::Local {
            port: Some(9000),
            ..
        }
    ));
    let broken = Environment::from([("TB_LOCAL_PORT", "many")]);
    assert_eq!(local_port(None, &broken).unwrap_err().exit, Exit::Usage);
    assert_eq!(local_port(Some(1), &broken).unwrap(), Some(1));
}

#[test]
fn the_state_folder_follows_xdg() {
    let state = |env: Environment| local_state(&env).unwrap();
    assert_eq!(
        state([("HOME", "/h")].into()),
        Path::new("/h/.local/share/dynamirror/local")
    );
    assert_eq!(
        state([("HOME", "/h"), ("XDG_DATA_HOME", "/x")].into()),
        Path::new("/x/dynamirror/local")
    );
    assert_eq!(
        state([("HOME", "/h"), ("XDG_DATA_HOME", "relative")].into()),
        Path::new("/h/.local/share/dynamirror/local")
    );
    assert_eq!(
        state([("HOME", "/h"), ("TB_LOCAL_STATE", "/t")].into()),
        Path::new("/t")
    );
    assert!(local_state(&Environment::default()).is_err());
}

#[test]
fn a_local_server_without_credentials_sees_no_aws_variable() {
    let env = Environment::from([
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_PROFILE", "dev"),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://169.254.170.23",
        ),
        ("AWS_ENDPOINT_URL_S3", "http://localhost:1"),
        ("AWS_CONFIG_FILE", "/home/me/.aws/config"),
        ("HOME", "/home/me"),
        ("PATH", "/bin"),
    ]);
    let without: BTreeMap<_, _> = local_server_environment(&env, false).into_iter().collect();
    let names: Vec<_> = without
        .iter()
        .map(|(name, value)| format!("{}={}", name.display(), value.display()))
        .collect();
    assert_eq!(
        names,
        [
            "AWS_CONFIG_FILE=/dev/null",
            "AWS_EC2_METADATA_DISABLED=true",
            "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
            "HOME=/home/me",
            "PATH=/bin"
        ]
    );
    let with = local_server_environment(&env, true);
    assert_eq!(with.len(), 7);
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let target = cloud("https://h/", "p.eyJ");
    assert!(!format!("{target:?}").contains("p.eyJ"));
}

#[test]
fn colour_is_off_when_somebody_says_so() {
    assert!(colour(false, &Environment::default()));
    assert!(colour(false, &[("NO_COLOR", "")].into()));
    assert!(!colour(true, &Environment::default()));
    assert!(!colour(false, &[("NO_COLOR", "1")].into()));
    assert!(!colour(false, &[("TERM", "dumb")].into()));
}

#[test]
fn a_branch_is_the_clouds() {
    let file = TinybFile {
        host: Some("https://mirrors.example.com".into()),
        token: Some("t".into()),
        ..TinybFile::default()
    };
    let flags = TargetFlags {
        branch: Some("x".into()),
        ..TargetFlags::default()
    };
    assert_eq!(
        target(&flags, &Environment::default(), &file).unwrap(),
        cloud("https://mirrors.example.com/", "t")
    );
    let refused = target(
        &flags,
        &Environment::from([("HOME", "/h")]),
        &TinybFile::default(),
    );
    assert!(refused.unwrap_err().problem.contains("--branch"));
}

#[test]
fn a_remembered_token_only_goes_to_its_own_server() {
    let file = TinybFile {
        host: Some("https://one.example.com".into()),
        token: Some("one".into()),
        tokens: [("https://two.example.com".to_owned(), "two".to_owned())].into(),
        ..TinybFile::default()
    };
    let at = |host: &str| {
        let env = Environment::from([("TB_HOST", host)]);
        target(&flags(None, None, true), &env, &file)
    };
    assert_eq!(
        at("one.example.com").unwrap(),
        cloud("https://one.example.com/", "one")
    );
    assert_eq!(
        at("two.example.com").unwrap(),
        cloud("https://two.example.com/", "two")
    );
    let stranger = at("three.example.com").unwrap_err();
    assert_eq!(stranger.exit, Exit::Refused);
}
