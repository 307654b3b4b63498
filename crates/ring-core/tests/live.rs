//! Captures from real interfaces, each test in network namespaces of its own.
//!
//! `docs/common-mistakes.md` has the mistakes that they would catch.

#[path = "live/blocks.rs"]
mod blocks;
#[path = "live/captures.rs"]
mod captures;
#[path = "live/counting.rs"]
mod counting;
#[path = "live/devices.rs"]
mod devices;
#[path = "live/fanout.rs"]
mod fanout;
#[path = "live/filter.rs"]
mod filter;
#[path = "live/hosts.rs"]
mod hosts;
#[path = "live/interface.rs"]
mod interface;
#[path = "live/metadata.rs"]
mod metadata;
#[path = "live/options.rs"]
mod options;
#[path = "live/programs.rs"]
mod programs;
#[path = "live/receive.rs"]
mod receive;
#[path = "live/socket_option.rs"]
mod socket_option;
#[path = "live/waiting.rs"]
mod waiting;

live_harness::main!(
    receive::loopback_delivers_each_packet_once,
    receive::loopback_delivers_twice_on_request,
    receive::any_delivers_loopback_once_and_what_is_sent,
    receive::what_is_sent_is_left_out_on_request,
    receive::large_segments_fit,
    receive::vlan_tags_are_in_the_metadata,
    receive::snaplen_truncates_and_counts,
    receive::packets_one_by_one_and_by_block_mix,
    receive::duplicates_are_left_out,
    metadata::directions_interfaces_and_numbers,
    metadata::time_stamps_are_the_kernels,
    metadata::hardware_time_stamps_that_are_not_there_are_a_typed_error,
    metadata::the_receive_hash_is_that_of_the_flow,
    metadata::checksums_left_to_the_adapter_are_marked,
    metadata::without_a_ring_the_tag_comes_beside_the_packet,
    devices::packets_of_a_tun_device_start_with_their_ip_header,
    devices::an_xdp_filter_on_a_tun_device_is_one_for_raw_ip,
    devices::any_tells_packets_of_a_tun_device_from_ethernet,
    devices::raw_packets_are_injected_into_a_tun_device,
    options::every_profile_receives,
    options::a_ring_has_the_size_that_is_asked_for,
    options::the_block_timeout_is_that_of_the_builder,
    options::headroom_leaves_packets_as_they_are,
    options::all_of_a_ring_is_in_memory,
    options::socket_options_reach_the_kernel,
    options::no_snap_length_is_no_limit,
    filter::a_raw_filter_runs_in_the_kernel,
    filter::no_packet_slips_through_before_the_filter,
    filter::an_expression_filters_on_each_kind_of_interface,
    filter::a_new_filter_holds_for_what_is_in_the_ring,
    filter::a_locked_filter_stays,
    programs::an_ebpf_program_filters_in_the_kernel,
    programs::a_swap_to_an_ebpf_program_empties_the_ring,
    programs::an_ebpf_program_that_is_refused_changes_nothing,
    programs::ebpf_programs_are_swapped_under_traffic,
    programs::an_ebpf_program_on_any_delivers_loopback_once,
    programs::an_ebpf_program_chooses_the_member,
    blocks::kept_blocks_exhaust_the_ring_and_come_back,
    blocks::an_idle_link_with_its_newest_block_kept_costs_nothing,
    blocks::drops_add_up,
    blocks::a_dropped_capture_with_a_kept_block_stops_collecting,
    blocks::shared_blocks_go_to_workers,
    blocks::a_thread_reads_on_while_the_capture_goes,
    blocks::a_copy_keeps_nothing_of_the_ring,
    blocks::nothing_is_allocated_per_packet,
    waiting::an_interruption_ends_the_wait,
    waiting::timeouts_are_kept,
    waiting::signals_do_not_end_a_wait,
    waiting::full_blocks_are_taken_together,
    waiting::a_nap_ends_when_a_wait_has_to,
    interface::promiscuous_mode_ends_with_the_capture,
    interface::an_interface_that_goes_down_comes_back,
    interface::a_deleted_interface_is_an_error,
    interface::what_was_captured_last_comes_before_the_end,
    interface::a_changed_mtu_changes_nothing,
    interface::wrong_interfaces_and_geometries_are_typed_errors,
    fanout::both_directions_of_a_flow_go_to_one_member,
    fanout::every_mode_delivers_each_packet_to_one_member,
    fanout::the_processor_chooses_the_member,
    fanout::rollover_is_counted,
    fanout::a_program_chooses_the_member,
    fanout::members_run_on_their_processors,
    fanout::a_group_is_whole_before_its_first_packet,
    fanout::a_group_on_loopback_gets_each_packet_once,
    fanout::fragments_are_put_together_on_request,
    fanout::groups_have_numbers_of_their_own,
    fanout::statistics_of_members_add_up,
);
