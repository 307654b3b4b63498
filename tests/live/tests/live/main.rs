//! Real programs over real kernels: the conversations must contain what the programs received, byte
//! for byte.

mod capture;
mod chosen;
mod commands;
mod decoders;
mod demo;
mod http;
mod idle;
mod messages;
mod quick_start;
mod readers;
mod reset;
mod rough;
mod slow_output;
mod throughput;
mod tls;
mod watched;
mod xdp;

live_harness::main!(
    http::one_small_file,
    http::one_small_file_over_ipv6,
    http::fifty_megabytes,
    http::fifty_megabytes_over_ipv6,
    http::fifty_megabytes_as_frames_of_a_cable,
    http::many_files_on_one_connection,
    http::chunks,
    http::an_upload,
    tls::openssl_with_openssl,
    messages::http_messages_of_curl_and_nginx,
    messages::a_tls_handshake_of_openssl,
    reset::a_client_resets_after_its_last_byte,
    reset::a_client_resets_in_the_middle,
    rough::http_over_a_rough_path,
    rough::http_over_a_rough_path_over_ipv6,
    rough::uploads_over_a_rough_path,
    quick_start::a_hundred_transfers_at_once,
    quick_start::large_transfers_at_once,
    readers::one_that_never_reads_holds_up_nobody,
    readers::engines_that_are_tasks,
    readers::a_group_of_captures_is_one_stream,
    readers::a_shutdown_keeps_what_the_kernel_still_holds,
    readers::what_is_dropped_gives_its_blocks_back,
    decoders::http_by_httparse,
    decoders::tls_by_its_records,
    xdp::a_tap_hears_both_directions,
    xdp::the_command_taps,
    xdp::a_sensor_behind_a_mirror,
    xdp::queues_behind_a_mirror_are_one_stream,
    xdp::the_command_behind_a_mirror,
    xdp::the_command_says_what_is_lacking,
    commands::a_command_says_when_it_captures,
    commands::privileges_are_dropped_before_files_are_created,
    capture::files_name_the_interfaces_of_any,
    capture::every_file_has_the_totals,
    capture::what_came_before_an_interrupt_is_written,
    capture::every_mixture_of_any_is_readable,
    capture::intervals_end_on_a_silent_wire,
    capture::a_killed_capture_leaves_its_packets,
    capture::a_signal_at_any_moment,
    capture::a_signal_at_any_moment_unbuffered,
    capture::a_signal_at_any_moment_with_rotation,
    capture::an_interface_that_is_down_is_named,
    capture::drops_are_announced_with_their_cure,
    chosen::ten_of_a_thousand_conversations,
    slow_output::every_byte_is_printed_or_missing_once,
    watched::an_interface_that_goes_down_is_named,
    watched::a_raised_mtu_is_followed_by_the_command,
    demo::the_demonstration_works_for_an_ordinary_user,
    demo::without_privileges_the_command_says_what_to_do;
    // These tests measure the whole machine.
    alone:
    throughput::a_minute_of_a_fast_line,
    throughput::a_gigabit_a_second,
    idle::a_kept_block_does_not_spin,
    idle::a_kept_chunk_does_not_spin,
);
