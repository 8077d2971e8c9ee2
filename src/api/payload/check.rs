//! The walk: compares a value with a schema and reports every violation, in the words of Pydantic v2.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    Location, Violation, datetime,
    email::Email,
    https_url,
    redact::{echo, is_secret_name},
    schema::{Format, Kind, Member, Node, Range, Shape, Size, Text},
    violation::Mistake,
};

/// Mistakes that one answer reports at most, so that a small request gets no huge answer.
const MAX_VIOLATIONS: usize = 100;
/// Integers that a double holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Reports what breaks the schema. Spellings that the schema allows and poem-openapi does not read are rewritten: an
/// integer such as `1.0`, and members that the document calls read-only, which are ignored.
pub(super) fn check(shape: &Shape, value: &mut Value, root: &str, hidden: bool) -> Vec<Violation> {
    let mut walk = Walk { shape, found: Vec::new() };
    walk.node(&shape.root, value, &Path { parent: None, step: Step::Name(root) }, hidden);
    walk.found
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Position(usize),
}

/// The way to the value at hand; written down only for violations.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

impl Path<'_> {
    fn child<'a>(&'a self, step: Step<'a>) -> Path<'a> {
        Path { parent: Some(self), step }
    }

    fn locations(&self) -> Vec<Location> {
        let mut locations: Vec<_> = std::iter::successors(Some(self), |path| path.parent)
            .map(|path| match path.step {
                Step::Name(name) => Location::Name(name.to_owned()),
                Step::Position(at) => Location::Position(at),
            })
            .collect();
        locations.reverse();
        locations
    }
}

struct Walk<'a> {
    shape: &'a Shape,
    found: Vec<Violation>,
}

impl Walk<'_> {
    fn report(&mut self, mistake: Mistake, path: &Path<'_>, value: &Value, hidden: bool) {
        if self.found.len() < MAX_VIOLATIONS {
            self.found.push(mistake.at(path.locations(), echo(value, hidden)));
        }
    }

    fn node(&mut self, node: &Node, value: &mut Value, path: &Path<'_>, hidden: bool) {
        if node.nullable && value.is_null() {
            return;
        }
        let hidden = hidden || node.secret;
        let verdict = match &node.kind {
            Kind::Any => Ok(()),
            Kind::Boolean => boolean(value),
            Kind::Integer { limits, range } => integer(value, *limits, range),
            Kind::Number(range) => number(value, range),
            Kind::String(text) => string(value, text),
            Kind::Choice(choices) => choice(value, choices),
            Kind::List { items, size, unique } => {
                return self.list(items, size, *unique, value, path, hidden);
            }
            Kind::Record(members) => return self.record(members, value, path, hidden),
            Kind::Map { values, size } => return self.map(values, size, value, path, hidden),
            Kind::Reference(name) => {
                if let Some(node) = self.shape.named.get(name) {
                    self.node(node, value, path, hidden);
                }
                return;
            }
            Kind::All(nodes) => {
                let before = self.found.len();
                for node in nodes {
                    if self.found.len() == before {
                        self.node(node, value, path, hidden);
                    }
                }
                return;
            }
            Kind::Either(nodes) => return self.either(nodes, value, path, hidden),
        };
        if let Err(mistake) = verdict {
            self.report(mistake, path, value, hidden);
        }
    }

    fn record(&mut self, members: &[Member], value: &mut Value, path: &Path<'_>, hidden: bool) {
        let Value::Object(map) = value else {
            let msg = "Input should be a valid dictionary or object to extract fields from";
            return self.report(Mistake::new("model_attributes_type", msg), path, value, hidden);
        };
        let hidden = hidden || names_secret(map);
        for member in members.iter().filter(|member| member.read_only) {
            map.remove(member.name);
        }
        for member in members.iter().filter(|member| !member.read_only) {
            let path = path.child(Step::Name(member.name));
            if let Some(value) = value.get_mut(member.name) {
                self.node(&member.node, value, &path, hidden);
            } else if member.required {
                self.report(missing(), &path, value, hidden);
            }
        }
    }

    fn map(&mut self, values: &Node, size: &Size, value: &mut Value, path: &Path<'_>, hidden: bool) {
        let Value::Object(map) = value else {
            let mistake = Mistake::new("dict_type", "Input should be a valid dictionary");
            return self.report(mistake, path, value, hidden);
        };
        let hidden = hidden || names_secret(map);
        if let Err(mistake) = items_within(size, map.len(), "Dictionary") {
            return self.report(mistake, path, value, hidden);
        }
        for (name, value) in map {
            self.node(values, value, &path.child(Step::Name(name)), hidden);
        }
    }

    fn list(
        &mut self,
        node: &Node,
        size: &Size,
        unique: bool,
        value: &mut Value,
        path: &Path<'_>,
        hidden: bool,
    ) {
        let Value::Array(items) = value else {
            let mistake = Mistake::new("list_type", "Input should be a valid list");
            return self.report(mistake, path, value, hidden);
        };
        if let Err(mistake) = items_within(size, items.len(), "List") {
            return self.report(mistake, path, value, hidden);
        }
        for (at, item) in items.iter_mut().enumerate() {
            self.node(node, item, &path.child(Step::Position(at)), hidden);
        }
        let mut seen = HashSet::new();
        if unique && !items.iter().all(|item| seen.insert(item.to_string())) {
            let msg = "Value error, the items of the list should be unique";
            self.report(Mistake::new("value_error", msg), path, value, hidden);
        }
    }

    /// Accepts what one of the schemas accepts; otherwise reports what the closest one says.
    fn either(&mut self, nodes: &[Node], value: &mut Value, path: &Path<'_>, hidden: bool) {
        let mut closest: Option<Vec<Violation>> = None;
        for node in nodes {
            let mut walk = Walk { shape: self.shape, found: Vec::new() };
            walk.node(node, value, path, hidden);
            if walk.found.is_empty() {
                return;
            }
            if closest.as_ref().is_none_or(|found| walk.found.len() < found.len()) {
                closest = Some(walk.found);
            }
        }
        self.found.extend(closest.unwrap_or_default());
        self.found.truncate(MAX_VIOLATIONS);
    }
}

/// A member, a parameter or the whole body was not sent.
pub(super) fn missing() -> Mistake {
    Mistake::new("missing", "Field required")
}

fn names_secret(map: &Map<String, Value>) -> bool {
    map.keys().any(|name| is_secret_name(name))
}

fn boolean(value: &Value) -> Result<(), Mistake> {
    const UNDERSTOOD: &[&str] = &["true", "false", "t", "f", "yes", "no", "y", "n", "on", "off", "1", "0"];
    let foreign = match value {
        Value::Bool(_) => return Ok(()),
        Value::String(text) => !UNDERSTOOD.contains(&text.to_lowercase().as_str()),
        Value::Number(n) => n.as_f64().is_some_and(|n| n.fract() == 0.0 && n != 0.0 && n != 1.0),
        _ => false,
    };
    Err(if foreign {
        Mistake::new("bool_parsing", "Input should be a valid boolean, unable to interpret input")
    } else {
        Mistake::new("bool_type", "Input should be a valid boolean")
    })
}

fn integer(value: &mut Value, limits: Option<(i128, i128)>, range: &Range) -> Result<(), Mistake> {
    let n = match value {
        Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), _, _) => i128::from(n),
            (_, Some(n), _) => i128::from(n),
            (_, _, Some(n)) if n.fract() == 0.0 => n as i128,
            _ => {
                let msg = "Input should be a valid integer, got a number with a fractional part";
                return Err(Mistake::new("int_from_float", msg));
            }
        },
        Value::String(text) if text.trim().parse::<i128>().is_err() => {
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            return Err(Mistake::new("int_parsing", msg));
        }
        _ => return Err(Mistake::new("int_type", "Input should be a valid integer")),
    };
    in_range(n as f64, range, limit)?;
    if let Some((min, max)) = limits {
        if n > max {
            return Err(less_than_equal(max as f64, limit));
        }
        if n < min {
            return Err(greater_than_equal(min as f64, limit));
        }
    }
    if let Value::Number(number) = value
        && number.is_f64()
        && (n as f64).abs() <= EXACT
        && let Ok(exact) = i64::try_from(n)
    {
        *value = Value::from(exact);
    }
    Ok(())
}

fn number(value: &Value, range: &Range) -> Result<(), Mistake> {
    match value {
        Value::Number(n) => in_range(n.as_f64().unwrap_or(f64::NAN), range, Value::from),
        Value::String(text) if text.trim().parse::<f64>().is_err() => {
            let msg = "Input should be a valid number, unable to parse string as a number";
            Err(Mistake::new("float_parsing", msg))
        }
        _ => Err(Mistake::new("float_type", "Input should be a valid number")),
    }
}

/// `shown` writes a limit as the type does: `1` for an integer, `1.0` for any number.
fn in_range(n: f64, range: &Range, shown: fn(f64) -> Value) -> Result<(), Mistake> {
    if let Some(step) = range.multiple_of
        && n % step != 0.0
    {
        let msg = format!("Input should be a multiple of {step}");
        return Err(Mistake::new("multiple_of", msg).with("multiple_of", shown(step)));
    }
    match range.max {
        Some((max, false)) if n > max => return Err(less_than_equal(max, shown)),
        Some((max, true)) if n >= max => {
            let msg = format!("Input should be less than {max}");
            return Err(Mistake::new("less_than", msg).with("lt", shown(max)));
        }
        _ => {}
    }
    match range.min {
        Some((min, false)) if n < min => Err(greater_than_equal(min, shown)),
        Some((min, true)) if n <= min => {
            let msg = format!("Input should be greater than {min}");
            Err(Mistake::new("greater_than", msg).with("gt", shown(min)))
        }
        _ => Ok(()),
    }
}

fn less_than_equal(max: f64, shown: fn(f64) -> Value) -> Mistake {
    Mistake::new("less_than_equal", format!("Input should be less than or equal to {max}"))
        .with("le", shown(max))
}

fn greater_than_equal(min: f64, shown: fn(f64) -> Value) -> Mistake {
    let msg = format!("Input should be greater than or equal to {min}");
    Mistake::new("greater_than_equal", msg).with("ge", shown(min))
}

/// A limit as a person would write it: `1`, not `1.0`.
fn limit(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() <= EXACT { Value::from(n as i64) } else { Value::from(n) }
}

fn choice(value: &Value, choices: &[Value]) -> Result<(), Mistake> {
    if choices.contains(value) {
        return Ok(());
    }
    let quoted: Vec<_> = choices
        .iter()
        .map(|choice| choice.as_str().map_or(choice.to_string(), |text| format!("'{text}'")))
        .collect();
    let expected = match quoted.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => quoted.concat(),
    };
    Err(Mistake::new("enum", format!("Input should be {expected}")).with("expected", expected))
}

fn string(value: &Value, rules: &Text) -> Result<(), Mistake> {
    let Value::String(text) = value else {
        return Err(match rules.format {
            Format::DateTime => Mistake::new("datetime_type", "Input should be a valid datetime"),
            Format::Uri => Mistake::new("url_type", "URL input should be a string or URL"),
            Format::Uuid => Mistake::new("uuid_type", "UUID input should be a string, bytes or UUID object"),
            Format::Email | Format::Plain => Mistake::new("string_type", "Input should be a valid string"),
        });
    };
    match rules.format {
        // Both explain a wrong length in their own words.
        Format::Email => return Email::check(text),
        Format::Uri => https_url::check(text, rules)?,
        Format::DateTime | Format::Uuid | Format::Plain => length(text, &rules.size)?,
    }
    if let Some(pattern) = &rules.pattern
        && !pattern.is_match(text)
    {
        let msg = format!("String should match pattern '{pattern}'");
        return Err(Mistake::new("string_pattern_mismatch", msg).with("pattern", pattern.as_str()));
    }
    match rules.format {
        Format::DateTime => datetime::check(text),
        Format::Uuid => uuid(text),
        Format::Email | Format::Plain | Format::Uri => Ok(()),
    }
}

fn length(text: &str, size: &Size) -> Result<(), Mistake> {
    let plural = |n: usize| if n == 1 { "character" } else { "characters" };
    let length = text.chars().count();
    if let Some(min) = size.min
        && length < min
    {
        let msg = format!("String should have at least {min} {}", plural(min));
        return Err(Mistake::new("string_too_short", msg).with("min_length", min));
    }
    if let Some(max) = size.max
        && length > max
    {
        let msg = format!("String should have at most {max} {}", plural(max));
        return Err(Mistake::new("string_too_long", msg).with("max_length", max));
    }
    Ok(())
}

fn uuid(text: &str) -> Result<(), Mistake> {
    text.parse::<uuid::Uuid>().map(drop).map_err(|error| {
        let msg = format!("Input should be a valid UUID, {error}");
        Mistake::new("uuid_parsing", msg).with("error", error.to_string())
    })
}

fn items_within(size: &Size, actual: usize, of: &str) -> Result<(), Mistake> {
    let plural = |n: usize| if n == 1 { "item" } else { "items" };
    if let Some(max) = size.max
        && actual > max
    {
        // Pydantic stops counting a dictionary at its limit.
        let (said, counted) = match of {
            "List" => (actual.to_string(), Value::from(actual)),
            _ => ("more".to_owned(), Value::Null),
        };
        let msg = format!("{of} should have at most {max} {} after validation, not {said}", plural(max));
        return Err(Mistake::new("too_long", msg)
            .with("field_type", of)
            .with("max_length", max)
            .with("actual_length", counted));
    }
    if let Some(min) = size.min
        && actual < min
    {
        let msg = format!("{of} should have at least {min} {} after validation, not {actual}", plural(min));
        return Err(Mistake::new("too_short", msg)
            .with("field_type", of)
            .with("min_length", min)
            .with("actual_length", actual));
    }
    Ok(())
}
