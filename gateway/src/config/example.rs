//! The commented default file.

use std::fmt::Write as _;

use super::settings::SETTINGS;
use super::values::Value;
use super::{Config, sources, stores, webhooks};

/// What `millrace config example` prints: every key, commented out, with its default.
pub fn example() -> String {
    let mut config = Config::default();
    let mut text =
        "# Millrace. Every key is also a flag and an environment variable; a flag counts more than a\n\
                    # variable, a variable more than this file. Defaults are shown; uncomment to change.\n"
            .to_owned();
    let mut table = "";
    for setting in SETTINGS {
        let (group, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if group != table {
            let _ = write!(text, "\n[{group}]");
            table = group;
        }
        text.push('\n');
        wrap(&mut text, setting.help);
        let _ = writeln!(text, "# --{}, {}", setting.flag, setting.variable());
        let _ = writeln!(text, "#{name} = {}", literal((setting.field)(&mut config)));
    }
    text.push_str(sources::EXAMPLE);
    text.push_str(webhooks::EXAMPLE);
    text.push_str(stores::EXAMPLE);
    text
}

fn wrap(text: &mut String, help: &str) {
    let mut column = usize::MAX;
    for word in help.split_whitespace() {
        if column.saturating_add(word.len()) > 98 {
            text.push_str(if text.ends_with('\n') { "#" } else { "\n#" });
            column = 1;
        }
        let _ = write!(text, " {word}");
        column += word.len() + 1;
    }
    text.push('\n');
}

fn literal(value: &dyn Value) -> String {
    let shown = value.show();
    if value.is_bare() { shown } else { toml::Value::String(shown).to_string() }
}
