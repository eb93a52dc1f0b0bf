use clap::{CommandFactory, FromArgMatches, Parser};

use super::settings::Overrides;
use super::{Cli, Command};
use crate::config::settings::SETTINGS;

fn serve(arguments: &[&str]) -> Overrides {
    let cli = Cli::try_parse_from(["millrace", "serve"].iter().chain(arguments)).unwrap();
    match cli.command {
        Command::Serve { settings, .. } => settings,
        _ => panic!("not serve"),
    }
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_setting_is_a_flag_with_its_variable_in_the_help() {
    let help = Cli::command().find_subcommand_mut("serve").unwrap().render_long_help().to_string();
    for setting in SETTINGS {
        assert!(help.contains(&format!("--{}", setting.flag)), "{}", setting.flag);
        assert!(help.contains(&setting.variable()), "{}", setting.flag);
    }
}

#[test]
fn flags_reach_the_configuration() {
    let config = serve(&["--http", "0.0.0.0:80", "--region", "eu-west-1", "--limit-rtsp-idle", "5s"]);
    let config = config.config(None).unwrap();
    assert_eq!((config.http.port(), config.region.0.as_str()), (80, "eu-west-1"));
    assert_eq!(config.limits.rtsp_idle.as_secs(), 5);
    let error = serve(&["--http", "everywhere"]).config(None).unwrap_err().to_string();
    assert!(error.starts_with("--http: \"everywhere\" is not an address"), "{error}");
}

#[test]
fn a_flag_counts_more_than_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "region = \"eu-west-1\"\naccount = \"123456789012\"\n").unwrap();
    let config = serve(&["--region", "eu-west-2"]).config(Some(file.path().into())).unwrap();
    assert_eq!((config.region.0.as_str(), config.account.0.as_str()), ("eu-west-2", "123456789012"));
}

#[test]
fn switches_stand_alone() {
    let matches =
        Cli::command().try_get_matches_from(["millrace", "serve", "--demo", "--data", "x"]).unwrap();
    let settings = Overrides::from_arg_matches(matches.subcommand_matches("serve").unwrap()).unwrap();
    let config = settings.config(None);
    // Without the feature the demo camera is refused in words; with it, it is on.
    assert_eq!(config.is_ok(), cfg!(feature = "gstreamer"));
    assert!(!serve(&["--demo=false"]).config(None).unwrap().demo);
}
