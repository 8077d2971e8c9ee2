//! Vendors that keep the data of each region apart: which one the operator has chosen.

use super::Settings;

/// The region of `options.region`, out of the vendor's own; the first one where it is none of them.
pub fn chosen(settings: &Settings, regions: &[&'static str]) -> &'static str {
    let named = settings.option("region").unwrap_or_default();
    regions.iter().copied().find(|region| *region == named).unwrap_or(regions[0])
}

/// What is wrong with the choice.
pub fn mistakes(settings: &Settings, regions: &[&'static str]) -> Vec<String> {
    let fits = settings.option("region").is_none_or(|named| regions.contains(&named));
    if fits { vec![] } else { vec![format!("options.region must be one of {}", regions.join(", "))] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_one_of_the_vendors() {
        const REGIONS: &[&str] = &["eu", "us"];
        let of = |region: &str| Settings {
            options: [("region".to_owned(), region.to_owned())].into(),
            ..Settings::default()
        };
        assert_eq!(chosen(&of("us"), REGIONS), "us");
        assert_eq!(chosen(&of("us.evil.example/"), REGIONS), "eu");
        assert!(mistakes(&of("us"), REGIONS).is_empty());
        assert_eq!(mistakes(&of("US"), REGIONS), ["options.region must be one of eu, us"]);
    }
}
