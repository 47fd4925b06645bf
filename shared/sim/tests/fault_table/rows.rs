table! {
    a_request_that_is_lost: place, "places an order", r#"{"fault": "request_lost", "on": {"method": "POST"}}"#
        => "unknown outcome", "no order", "absent after 1 s and after 120 s";
    an_answer_that_is_lost: place, "places an order", r#"{"fault": "answer_lost", "on": {"method": "POST"}}"#
        => "unknown outcome", "order filled, 1 of 1 executed", "found by its tag after 1 s";
    a_slow_acceptance: place, "places an order", r#"{"fault": "slow_acceptance", "delay_ms": 60000}"#
        => "unknown outcome", "order filled, 1 of 1 executed", "absent after 1 s, found by its tag after 120 s";
    a_slow_answer: place, "places an order", r#"{"fault": "slow_answer", "delay_ms": 30000, "on": {"method": "POST"}}"#
        => "unknown outcome", "order filled, 1 of 1 executed", "found by its tag after 1 s";
    an_error_without_effect: place, "places an order", r#"{"fault": "error_without_effect", "on": {"method": "POST"}}"#
        => "unknown outcome", "no order", "absent after 1 s and after 120 s";
    an_error_after_the_effect: place, "places an order", r#"{"fault": "error_after_effect", "on": {"method": "POST"}}"#
        => "unknown outcome", "order filled, 1 of 1 executed", "found by its tag after 1 s";
    too_many_requests: place, "places an order", r#"{"fault": "too_many_requests", "on": {"method": "POST"}}"#
        => "unknown outcome", "no order", "absent after 1 s and after 120 s";
    a_token_that_is_refused: place, "places an order", r#"{"fault": "token_refused", "on": {"method": "POST"}}"#
        => "authentication", "no order", "absent after 1 s and after 120 s";
    a_refusal_with_status_200: place, "places an order", r#"{"fault": "refused"}"#
        => "refused", "no order", "absent after 1 s and after 120 s";
    a_refusal_after_the_effect: place, "places an order", r#"{"fault": "refused_after_effect"}"#
        => "unknown outcome", "order filled, 1 of 1 executed", "found by its tag after 1 s";
    half_an_answer: place, "places an order", r#"{"fault": "half_answer", "on": {"method": "POST"}}"#
        => "unknown outcome", "order filled, 1 of 1 executed", "found by its tag after 1 s";
    an_order_that_the_list_shows_late: place, "places an order", r#"{"fault": "late_visibility"}"#
        => "accepted", "order filled, 1 of 1 executed", "absent after 1 s, found by its tag after 120 s";
    a_reject_after_the_acceptance: read, "places an order and reads it", r#"{"fault": "reject_after_acceptance"}"#
        => "", "", "";
    a_fill_before_its_price: read, "places an order and reads it", r#"{"fault": "late_price"}"#
        => "", "", "";
    a_fill_before_its_acknowledgement: listen, "places an order and listens", r#"{"fault": "fill_before_acknowledgement"}"#
        => "", "", "";
    legs_that_come_apart: spread, "places a spread", r#"{"fault": "partial_legs"}"#
        => "", "", "";
    a_cancel_whose_request_is_lost: cancel, "cancels an order", r#"{"fault": "request_lost", "nth": 1}"#
        => "", "", "";
    a_cancel_whose_answer_is_lost: cancel, "cancels an order", r#"{"fault": "answer_lost", "nth": 1}"#
        => "", "", "";
    a_cancel_that_comes_too_often: cancel, "cancels an order", r#"{"fault": "too_many_requests", "nth": 1}"#
        => "", "", "";
    a_cancel_that_a_fill_beats: cancel_under, "cancels an order", r#"{"fault": "fill_beats_cancel"}"#
        => "", "", "";
    a_change_whose_answer_is_lost: modify, "moves a limit", r#"{"fault": "answer_lost", "nth": 1}"#
        => "", "", "";
    a_change_that_is_slow: modify, "moves a limit", r#"{"fault": "slow_acceptance", "nth": 1}"#
        => "", "", "";
    a_list_that_is_lost: list, "reads the list", r#"{"fault": "answer_lost", "nth": 1}"#
        => "", "", "";
    a_list_that_fails: list, "reads the list", r#"{"fault": "error_without_effect", "status": 502, "nth": 1}"#
        => "", "", "";
    a_list_in_half: list, "reads the list", r#"{"fault": "half_answer", "nth": 1}"#
        => "", "", "";
    a_list_without_a_token: list, "reads the list", r#"{"fault": "token_refused", "nth": 1}"#
        => "", "", "";
    events_that_never_leave: listen, "places an order and listens", r#"{"fault": "event_dropped"}"#
        => "", "", "";
    events_that_come_twice: listen, "places an order and listens", r#"{"fault": "event_twice"}"#
        => "", "", "";
    events_that_come_late: listen, "places an order and listens", r#"{"fault": "event_late", "nth": 1}"#
        => "", "", "";
    another_series_quote: quotes, "asks for a quote", r#"{"fault": "wrong_instrument"}"#
        => "", "", "";
    another_series_quote_under_the_right_name: quotes, "asks for a quote", r#"{"fault": "mislabelled_quote"}"#
        => "", "", "";
    a_stale_quote: quotes, "asks for a quote", r#"{"fault": "stale_quote"}"#
        => "", "", "";
    a_crossed_quote: quotes, "asks for a quote", r#"{"fault": "crossed_quote"}"#
        => "", "", "";
    a_zero_quote: quotes, "asks for a quote", r#"{"fault": "zero_quote"}"#
        => "", "", "";
}
