//! The printed form of any tree parses to the same tree.

mod trees;

use flow_filter::Expression;
use proptest::prelude::*;

proptest! {
    #[test]
    fn the_printed_form_parses_to_the_same_tree(expression in trees::expression()) {
        let text = expression.to_string();
        let parsed = text.parse::<Expression>();
        prop_assert_eq!(parsed.as_ref(), Ok(&expression), "{}", text);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "[a-z .=!<>&|(){}\"\\\\0-9é:/-]{0,60}") {
        match text.parse::<Expression>() {
            Ok(expression) => {
                prop_assert_eq!(expression.to_string().parse::<Expression>(), Ok(expression));
            }
            Err(error) => {
                prop_assert!(error.span.end <= text.len() && error.span.start <= error.span.end);
                prop_assert!(error.pointed(&text).contains('^'));
            }
        }
    }
}
