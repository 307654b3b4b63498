//! AF_XDP on real interfaces, each test in network namespaces of its own. Needs real root: a user
//! namespace is not enough.

#[path = "live_xdp/aya.rs"]
mod aya;
#[path = "live_xdp/errors.rs"]
mod errors;
#[path = "live/hosts.rs"]
#[allow(dead_code, reason = "not every part is used here")]
mod hosts;
#[path = "live_xdp/mtu.rs"]
mod mtu;
#[path = "live_xdp/program.rs"]
mod program;
#[path = "live_xdp/receive.rs"]
mod receive;
#[path = "live_xdp/send.rs"]
mod send;
#[path = "live_xdp/setup.rs"]
mod setup;
#[path = "live_xdp/share.rs"]
mod share;
#[path = "live/socket_option.rs"]
mod socket_option;
#[path = "live_xdp/tap.rs"]
mod tap;
#[path = "live_xdp/together.rs"]
mod together;
#[path = "live_xdp/waiting.rs"]
mod waiting;

live_harness::main!(
    receive::packets_arrive_in_native_mode,
    receive::packets_arrive_in_generic_mode,
    receive::frames_are_kept_on_other_threads,
    receive::a_receiver_that_starves_goes_on_when_frames_come_back,
    receive::drops_are_counted,
    receive::jumbo_packets_span_frames,
    receive::large_segments_come_whole_in_generic_mode,
    receive::memory_of_huge_pages,
    receive::unaligned_frames_of_any_size,
    receive::an_interface_that_goes_away_is_an_error,
    receive::a_queue_can_be_opened_again_at_once,
    send::packets_arrive_at_the_peer,
    send::packets_are_answered_on_one_socket,
    send::more_than_the_ring_holds_is_sent,
    send::long_packets_are_sent_in_pieces,
    send::checksums_and_times_of_sending,
    send::a_socket_that_only_sends_attaches_nothing,
    program::the_program_goes_with_the_last_socket,
    program::the_program_goes_with_the_process,
    program::somebody_elses_program_stays,
    program::somebody_elses_program_goes_on_request,
    program::too_few_queues_for_native_mode,
    program::sockets_of_all_queues_share_a_program,
    program::a_program_of_another_filter_is_refused,
    program::a_foreign_program_and_map_are_used,
    aya::a_program_in_c_that_aya_loads_is_used,
    program::steered_packets_come_and_others_go_on,
    program::a_steered_port_leaves_http_alone,
    share::sockets_share_a_queue,
    share::our_own_program_knows_one_receiver_a_queue,
    share::a_group_is_a_source,
    tap::a_tap_shows_both_directions,
    tap::a_tap_completes_checksums,
    tap::a_taps_ends_are_two,
    tap::a_tap_outlives_an_end_that_is_down,
    waiting::each_way_of_waiting_sees_every_packet,
    waiting::busy_polling_is_asked_of_the_kernel,
    waiting::timeouts_and_interruptions,
    waiting::the_readiness_descriptor_wakes,
    waiting::packets_that_come_quickly_are_taken_together,
    waiting::a_packet_after_a_pause_is_not_delayed,
    waiting::no_packet_is_slept_through,
    waiting::an_interruption_ends_a_nap,
    together::a_group_takes_every_queue,
    together::packets_are_forwarded_between_interfaces,
    together::a_socket_is_a_sink,
    mtu::packets_of_a_raised_mtu_are_counted,
    mtu::a_group_is_opened_again_for_a_raised_mtu,
    mtu::a_tap_is_opened_again_for_a_raised_mtu,
    mtu::a_sender_follows_the_mtu,
    errors::a_missing_capability_is_named,
    errors::locked_memory_is_named,
    errors::what_the_driver_cannot_do_is_named,
    errors::wrong_names_and_numbers_are_typed,
    errors::a_busy_queue_is_named,
);
