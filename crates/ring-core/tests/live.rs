//! Captures of real interfaces in network namespaces of their own.

#[path = "live/fanout.rs"]
mod fanout;
#[path = "live/hosts.rs"]
mod hosts;
#[path = "live/receive.rs"]
mod receive;

live_harness::main!(
    receive::loopback_delivers_each_packet_once,
    receive::loopback_delivers_twice_on_request,
    receive::any_delivers_loopback_once_and_what_is_sent,
    receive::what_is_sent_is_left_out_on_request,
    receive::large_segments_fit,
    receive::vlan_tags_are_in_the_metadata,
    receive::snaplen_truncates_and_counts,
    receive::a_raw_filter_runs_in_the_kernel,
    receive::no_packet_slips_through_before_the_filter,
    receive::an_expression_filters_on_each_kind_of_interface,
    receive::a_new_filter_holds_for_what_is_in_the_ring,
    receive::a_locked_filter_stays,
    receive::promiscuous_mode_ends_with_the_capture,
    receive::packets_one_by_one_and_by_block_mix,
    receive::kept_blocks_exhaust_the_ring_and_come_back,
    receive::an_idle_link_with_its_newest_block_kept_costs_nothing,
    receive::an_interruption_ends_the_wait,
    receive::timeouts_are_kept,
    receive::drops_add_up,
    receive::an_interface_that_goes_down_comes_back,
    receive::a_deleted_interface_is_an_error,
    receive::a_dropped_capture_with_a_kept_block_stops_collecting,
    receive::wrong_interfaces_and_geometries_are_typed_errors,
    receive::shared_blocks_go_to_workers,
    fanout::both_directions_of_a_flow_go_to_one_member,
    fanout::every_mode_delivers_each_packet_to_one_member,
    fanout::rollover_is_counted,
    fanout::a_program_chooses_the_member,
    fanout::members_run_on_their_processors,
);
