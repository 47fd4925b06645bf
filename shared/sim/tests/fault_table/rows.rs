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
        => "accepted; Rejected, 0 executed, no price after 1 s", "order rejected, 0 of 1 executed", "Rejected, 0 executed, no price after 120 s";
    a_fill_before_its_price: read, "places an order and reads it", r#"{"fault": "late_price"}"#
        => "accepted; Filled, 0 executed, no price after 1 s", "order filled, 1 of 1 executed", "Filled, 1 executed, 2.40 after 120 s";
    a_fill_before_its_acknowledgement: listen, "places an order and listens", r#"{"fault": "fill_before_acknowledgement"}"#
        => "accepted; 2 events and 0 heartbeats before, 1 events and 1 heartbeats after the answer", "order filled, 1 of 1 executed", "the list says Filled";
    legs_that_come_apart: spread, "places a spread", r#"{"fault": "partial_legs"}"#
        => "accepted; legs 1 and 0 after 1 s", "order partially_filled, 1 of 1 and 0 of 1 executed; later order filled, 1 of 1 and 1 of 1 executed", "found by its tag after 1 s";
    a_cancel_whose_request_is_lost: cancel, "cancels an order", r#"{"fault": "request_lost", "nth": 1}"#
        => "unknown outcome", "order canceled, 0 of 1 executed", "asked again after 1 s: requested";
    a_cancel_whose_answer_is_lost: cancel, "cancels an order", r#"{"fault": "answer_lost", "nth": 1}"#
        => "unknown outcome", "order canceled, 0 of 1 executed", "asked again after 1 s: already final";
    a_cancel_that_comes_too_often: cancel, "cancels an order", r#"{"fault": "too_many_requests", "nth": 1}"#
        => "rate limited until the window ends", "order open, 0 of 1 executed", "asked again after 1 s: rate limited until the window ends";
    a_cancel_that_a_fill_beats: cancel_under, "cancels an order", r#"{"fault": "fill_beats_cancel"}"#
        => "requested", "order filled, 1 of 1 executed", "asked again after 1 s: already final";
    a_change_whose_answer_is_lost: modify, "moves a limit", r#"{"fault": "answer_lost", "nth": 1}"#
        => "unknown outcome", "order filled, 1 of 1 executed", "asked again after 1 s: refused";
    a_change_that_is_slow: modify, "moves a limit", r#"{"fault": "slow_acceptance", "nth": 1}"#
        => "unknown outcome", "order filled, 1 of 1 executed", "asked again after 1 s: taken";
    a_list_that_is_lost: list, "reads the list", r#"{"fault": "answer_lost", "nth": 1}"#
        => "unknown outcome", "order open, 0 of 1 executed", "read again: 1 order";
    a_list_that_fails: list, "reads the list", r#"{"fault": "error_without_effect", "status": 502, "nth": 1}"#
        => "broken answer", "order open, 0 of 1 executed", "read again: 1 order";
    a_list_in_half: list, "reads the list", r#"{"fault": "half_answer", "nth": 1}"#
        => "unknown outcome", "order open, 0 of 1 executed", "read again: 1 order";
    a_list_without_a_token: list, "reads the list", r#"{"fault": "token_refused", "nth": 1}"#
        => "authentication", "order open, 0 of 1 executed", "read again: 1 order";
    events_that_never_leave: listen, "places an order and listens", r#"{"fault": "event_dropped"}"#
        => "accepted; 0 events and 0 heartbeats before, 0 events and 1 heartbeats after the answer", "order filled, 1 of 1 executed", "the list says Filled";
    events_that_come_twice: listen, "places an order and listens", r#"{"fault": "event_twice"}"#
        => "accepted; 0 events and 0 heartbeats before, 6 events and 1 heartbeats after the answer", "order filled, 1 of 1 executed", "the list says Filled";
    events_that_come_late: listen, "places an order and listens", r#"{"fault": "event_late", "nth": 1}"#
        => "accepted; 0 events and 0 heartbeats before, 3 events and 1 heartbeats after the answer", "order filled, 1 of 1 executed", "the list says Filled";
    quotes_that_never_leave: watch, "watches the market", r#"{"fault": "quote_dropped"}"#
        => "0 quotes and 1 heartbeats", "no order", "asks: 2.50 to 2.60, 0 s old";
    another_series_quote: quotes, "asks for a quote", r#"{"fault": "wrong_instrument"}"#
        => "no quote", "order filled, 1 of 1 executed", "an order at 2.40 executed at 2.40";
    another_series_quote_under_the_right_name: quotes, "asks for a quote", r#"{"fault": "mislabelled_quote"}"#
        => "no quote", "order filled, 1 of 1 executed", "an order at 2.40 executed at 2.40";
    a_stale_quote: quotes, "asks for a quote", r#"{"fault": "stale_quote"}"#
        => "2.30 to 2.40, 60 s old", "order filled, 1 of 1 executed", "an order at 2.40 executed at 2.40";
    a_crossed_quote: quotes, "asks for a quote", r#"{"fault": "crossed_quote"}"#
        => "2.40 to 2.30, 0 s old, not two-sided", "order filled, 1 of 1 executed", "an order at 2.40 executed at 2.40";
    a_zero_quote: quotes, "asks for a quote", r#"{"fault": "zero_quote"}"#
        => "none to none, 0 s old, not two-sided", "order filled, 1 of 1 executed", "an order at 2.40 executed at 2.40";
}
