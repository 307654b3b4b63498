// receive-packet INTERFACE: the least that receives through a TPACKET_V3 ring of 64 blocks of 4 MiB.
#include "common.h"

enum { BLOCK = 4 << 20, BLOCKS = 64, TIMEOUT_MS = 60 };

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	int s = socket(AF_PACKET, SOCK_RAW, 0), version = TPACKET_V3;
	struct tpacket_req3 request = {
		.tp_block_size = BLOCK,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = 2048,
		.tp_frame_nr = BLOCK / 2048 * BLOCKS,
		.tp_retire_blk_tov = TIMEOUT_MS,
	};
	if (s < 0 || setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
	    setsockopt(s, SOL_PACKET, PACKET_RX_RING, &request, sizeof request))
		die("ring");
	uint8_t *ring = mmap(0, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, s, 0);
	if (ring == MAP_FAILED)
		die("mmap");
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(argv[1]),
	};
	if (bind(s, (void *)&address, sizeof address))
		die("bind");

	struct tally tally = {0};
	struct pollfd ready = {.fd = s, .events = POLLIN};
	unsigned current = 0;
	say_ready();
	uint64_t before = cpu_ns();
	for (;;) {
		struct tpacket_block_desc *block = (void *)(ring + (size_t)current * BLOCK);
		uint32_t *status = &block->hdr.bh1.block_status;
		if (!(__atomic_load_n(status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
			if (poll(&ready, 1, tally.packets ? IDLE_MS : NOBODY_MS) == 0)
				break;
			continue;
		}
		struct tpacket3_hdr *packet = (void *)((uint8_t *)block + block->hdr.bh1.offset_to_first_pkt);
		unsigned packets = block->hdr.bh1.num_pkts;
		uint64_t sum = 0, bytes = 0;
		for (unsigned i = 0; i < packets; i++) {
			uint64_t time = packet->tp_sec * 1000000000ull + packet->tp_nsec;
			sum += time + type_of((uint8_t *)packet + packet->tp_mac);
			bytes += packet->tp_snaplen;
			packet = (void *)((uint8_t *)packet + packet->tp_next_offset);
		}
		tally.packets += packets;
		tally.bytes += bytes;
		tally.sum += sum;
		__atomic_store_n(status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		current = (current + 1) % BLOCKS;
		if (!tally.warm) {
			tally.warm = tally.packets;
			before = cpu_ns();
		}
	}
	uint64_t cpu = cpu_ns() - before;
	struct tpacket_stats_v3 counted = {0};
	socklen_t len = sizeof counted;
	if (getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &counted, &len))
		die("statistics");
	say_received(&tally, cpu, counted.tp_drops);
	return 0;
}
