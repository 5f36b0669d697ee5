use super::*;
use crate::document::{Format, parse};

const INERT: &[InertKey] = &[warned("pid", "not needed"), refused("guard", "it would not be honoured")];

fn read(text: &str, body: impl FnOnce(&mut ObjectReader<'_>)) -> (Vec<String>, Vec<String>) {
    let node = parse(text, Format::Yaml).unwrap();
    let report = Report::new("f.yaml");
    let mut object = Cursor::root(&node, &report).object().unwrap();
    body(&mut object);
    object.finish(INERT);
    let lines = |list: Vec<crate::Diagnostic>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    match report.finish() {
        Ok(warnings) => (vec![], lines(warnings)),
        Err(all) => (lines(all.errors), lines(all.warnings)),
    }
}

#[test]
fn keys_have_no_case_and_unread_keys_are_judged() {
    let (errors, warnings) = read("Name: x\nPID: 3\nguard: true\nnme: 1\ncolour: 2\n", |object| {
        assert_eq!(object.get("name").and_then(|c| c.string()), Some("x"));
    });
    assert_eq!(warnings, ["f.yaml:2:6: PID: known MOSN key that does nothing here: not needed"]);
    assert_eq!(
        errors,
        [
            "f.yaml:3:8: guard: not available yet: it would not be honoured; expected no such key, found true",
            "f.yaml:4:1: nme: unknown key; did you mean \"name\"?",
            "f.yaml:5:1: colour: unknown key; known here are name",
        ]
    );
}

#[test]
fn refused_keys_may_say_nothing() {
    for text in ["guard: false", "guard: ''", "guard: 0", "guard: []", "guard: {}", "guard:"] {
        assert_eq!(read(text, |_| {}), (vec![], vec![]), "{text}");
    }
}

#[test]
fn keys_that_differ_in_case_only_stand_twice() {
    let (errors, _) = read("name: x\nName: y\n", |object| {
        object.get("name");
    });
    assert_eq!(
        errors,
        ["f.yaml:2:1: Name: key stands twice, \"name\" and \"Name\" are the same; the first is at f.yaml:1:1"]
    );
}

#[test]
fn wrong_types_name_both_sides() {
    for (text, expected) in [
        ("v: 3", "f.yaml:1:4: v: expected a string, found number 3"),
        ("v: [1]", "f.yaml:1:4: v: expected a string, found an array"),
        ("w: 1", "f.yaml:1:1: v: required key is missing; expected a name"),
        ("v: null", "f.yaml:1:1: v: required key is missing; expected a name"),
    ] {
        let (errors, _) = read(text, |object| {
            object.get("w");
            object.required("v", "a name").and_then(|c| c.string());
        });
        assert_eq!(errors, [expected], "{text}");
    }
}

#[test]
fn numbers_durations_and_words() {
    let (errors, _) = read("a: 1.5\nb: 30\nc: ''\nd: '30'\ne: appendd\nf: -1\nprivate_key: 1s2x\n", |object| {
        object.get("a").and_then(|c| c.integer(1, 128));
        object.get("b").and_then(|c| c.duration());
        object.get("c").and_then(|c| c.duration());
        object.get("d").and_then(|c| c.duration());
        object.get("e").and_then(|c| c.choice(&[("append", 1), ("pass", 2)]));
        object.get("f").and_then(|c| c.integer(0, u64::MAX));
        object.get("private_key").and_then(|c| c.duration());
    });
    assert_eq!(
        errors,
        [
            "f.yaml:1:4: a: expected an integer from 1 to 128, found number 1.5",
            "f.yaml:2:4: b: expected a duration string such as \"30s\", found number 30",
            "f.yaml:3:4: c: expected a duration such as \"30s\", found string \"\"",
            "f.yaml:4:4: d: expected a duration with a unit (ns, us, ms, s, m or h) \
             such as \"30s\", found string \"30\"",
            "f.yaml:5:4: e: expected \"append\" or \"pass\", found string \"appendd\"",
            "f.yaml:6:4: f: expected an integer that is not negative, found number -1",
            "f.yaml:7:14: private_key: expected a duration with units ns, us, ms, s, m or h, \
             found a string that is not shown",
        ]
    );
}
