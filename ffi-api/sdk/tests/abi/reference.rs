//! The book's page on the ABI is the header's comments, in another form.

use crate::ffi_api;

/// What comes before the header's own words.
const HEAD: &str = "\
# ABI reference

This page is made from [`sidegate.h`](../../ffi-api/include/sidegate.h), comment by comment, and never edited. A filter in
Rust has the same functions behind the types of `sidegate-sdk`.
";

/// One comment and the code that it is about.
#[derive(Debug, Default)]
struct Item {
    comment: Vec<String>,
    code: Vec<String>,
}

/// The page for this header.
fn page(header: &str) -> String {
    let (top, rest) = header.split_once("#ifndef SIDEGATE_H").unwrap();
    let mut page = HEAD.to_owned();
    rules(top, &mut page);
    let from = rest.find("/* ---- ").unwrap();
    // Behind it stands what the macros need and nobody calls.
    let to = rest.find("/* What SIDEGATE_FILTER collects. */").unwrap();
    for item in items(&rest[from..to]) {
        match item.comment.first().and_then(|line| line.strip_prefix("---- ")) {
            Some(title) => {
                page += &format!("\n## {}\n", title.trim_end_matches(['-', ' ']).trim_end_matches('.'));
                text(&item.comment[1..], &mut page);
            }
            None => declaration(&item, &mut page),
        }
    }
    while page.contains("\n\n\n") {
        page = page.replace("\n\n\n", "\n\n");
    }
    page
}

/// The rules at the top, as a list.
fn rules(top: &str, page: &mut String) {
    let (_, rules) = top.split_once("comments below say only what is added to them.\n *\n").unwrap();
    *page += "\n## Rules that hold everywhere\n\nWhat follows says only what is added to them.\n\n";
    for line in rules.lines().filter_map(|line| line.strip_prefix(" * ")) {
        let name = line.split("  ").next().unwrap();
        if name.len() > 3 && name.chars().all(|c| c.is_ascii_uppercase()) {
            *page +=
                &format!("- **{}{}**: {}\n", &name[..1], name[1..].to_lowercase(), escaped(line[name.len()..].trim()));
        } else if line.starts_with("     ") {
            *page += &format!("  {}\n", escaped(line.trim()));
        } else if !line.starts_with("SPDX") {
            *page += &format!("\n{}\n", escaped(line));
        }
    }
}

/// Comments, each with the code up to the next blank line; a struct is one
/// piece.
fn items(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut item = Item::default();
    let (mut in_comment, mut in_braces) = (false, false);
    for line in text.lines() {
        let comment_starts = !in_braces && line.starts_with("/*");
        if comment_starts || in_comment {
            if comment_starts && !item.code.is_empty() {
                items.push(std::mem::take(&mut item));
            }
            in_comment = !line.ends_with("*/");
            let line = line.trim_start_matches("/*").trim_end_matches("*/");
            let line = line.strip_prefix(" * ").or(line.strip_prefix(" *")).unwrap_or(line.trim());
            item.comment.push(line.trim_end().to_owned());
            continue;
        }
        in_braces = (in_braces || line.ends_with('{')) && !line.starts_with('}');
        if line.is_empty() && !in_braces {
            items.push(std::mem::take(&mut item));
        } else {
            item.code.push(line.to_owned());
        }
    }
    items.push(item);
    items.retain(|item| !item.comment.is_empty() || !item.code.is_empty());
    items
}

fn declaration(item: &Item, page: &mut String) {
    let is_table = item.code.len() > 1 && item.code.iter().any(|line| member(line).is_some());
    if is_table {
        let name = item.code[0].trim_start_matches("typedef struct ").trim_end_matches(" {");
        *page += &format!("\n### {name}\n");
        text(&item.comment, page);
        members(&item.code[1..item.code.len() - 1], page);
        return;
    }
    // What has no comment of its own is there for the compiler.
    if item.comment.is_empty() && !item.code.iter().any(|line| line.contains("SIDEGATE_ABI_MAJOR")) {
        return;
    }
    text(&item.comment, page);
    code(&heads(&item.code), page);
}

/// Of functions in the header their heads, of macros their names; all else as
/// it is.
fn heads(code: &[String]) -> Vec<String> {
    let (mut heads, mut lines) = (Vec::new(), code.iter().map(String::as_str));
    while let Some(line) = lines.next() {
        if line.starts_with("static inline") {
            let mut line = line;
            while !line.ends_with('{') {
                heads.push(line.to_owned());
                line = lines.next().unwrap();
            }
            heads.push(line.replace(" {", ";"));
            lines.by_ref().find(|line| *line == "}");
        } else if line.starts_with("#define") && (line.ends_with('\\') || line.contains(" (sidegate_it")) {
            heads.push(line.split(" (sidegate_it").next().unwrap().trim_end_matches(['\\', ' ']).to_owned());
            if line.ends_with('\\') {
                lines.by_ref().find(|line| !line.ends_with('\\'));
            }
        } else {
            heads.push(line.to_owned());
        }
    }
    heads
}

/// The members of a table: each function with its comment.
fn members(lines: &[String], page: &mut String) {
    let mut comment = Vec::new();
    let mut declared = Vec::new();
    let mut in_comment = false;
    for line in lines.iter().map(String::as_str).chain([""]) {
        let bare = line.trim();
        if bare.starts_with("/*") || in_comment {
            in_comment = !bare.ends_with("*/");
            let bare = bare.trim_start_matches("/*").trim_end_matches("*/").trim();
            comment.push(bare.trim_start_matches("* ").to_owned());
        } else if !bare.is_empty() {
            declared.push(line.strip_prefix("    ").unwrap_or(line).to_owned());
        } else if !declared.is_empty() {
            match declared.iter().find_map(|line| member(line)) {
                Some(name) => *page += &format!("\n#### {name}\n"),
                None => *page += "\n",
            }
            text(&comment, page);
            code(&declared, page);
            (comment, declared) = (Vec::new(), Vec::new());
        }
    }
}

/// The function that a member of a table is.
fn member(line: &str) -> Option<&str> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("sidegate_hook_fn ") {
        return name.strip_suffix(';');
    }
    let name = line.split_once("(*")?.1.split_once(')')?.0;
    (!line.starts_with("typedef")).then_some(name)
}

fn code(lines: &[String], page: &mut String) {
    if !lines.is_empty() {
        *page += &format!("\n```text\n{}\n```\n", lines.join("\n"));
    }
}

/// A comment as paragraphs; what is indented in it is code.
fn text(comment: &[String], page: &mut String) {
    let mut in_code = false;
    for line in [""].into_iter().chain(comment.iter().map(String::as_str)) {
        let is_code = line.starts_with("    ");
        if is_code != in_code {
            *page += if is_code { "\n```text\n" } else { "```\n\n" };
            in_code = is_code;
        }
        *page += &format!("{}\n", if is_code { line[4..].to_owned() } else { escaped(line) });
    }
    if in_code {
        *page += "```\n";
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    // What stands in backticks is as it is.
    for (index, piece) in text.split('`').enumerate() {
        if index > 0 {
            escaped.push('`');
        }
        let plain = |c: char| if matches!(c, '*' | '<' | '|') { format!("\\{c}") } else { c.to_string() };
        escaped += &if index % 2 == 0 { piece.chars().map(plain).collect() } else { piece.to_owned() };
    }
    escaped
}

#[test]
fn the_page_is_the_headers_comments() {
    let header = std::fs::read_to_string(ffi_api().join("include/sidegate.h")).unwrap();
    let file = ffi_api().join("../docs/src/abi-reference.md");
    let page = page(&header);
    if std::env::var_os("SIDEGATE_UPDATE_ABI_REFERENCE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written == page,
        "docs/src/abi-reference.md is stale: run \
         `SIDEGATE_UPDATE_ABI_REFERENCE=1 cargo test -p sidegate-sdk --test abi the_page`"
    );
}

#[test]
fn the_page_has_every_function_and_number() {
    let header = std::fs::read_to_string(ffi_api().join("include/sidegate.h")).unwrap();
    let page = page(&header);
    for table in crate::layout::types().iter().filter(|table| table.name.ends_with("_v1")) {
        for field in &table.fields {
            assert!(page.contains(&field.name), "{} of {}", field.name, table.name);
        }
    }
    for (name, _) in crate::layout::numbers() {
        assert!(page.contains(&name), "{name}");
    }
    for title in ["#### header_get\n", "#### on_resume\n", "#### create_filter\n", "### sidegate_host_v1\n"] {
        assert!(page.contains(title), "{title}");
    }
}
