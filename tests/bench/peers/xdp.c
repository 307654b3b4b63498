// cc: -lxdp -lbpf
// xdp receive INTERFACE, xdp send INTERFACE LENGTH COUNT RATE: the least that does so through an AF_XDP socket of libxdp,
// in copy mode, the program attached in native mode.
#include "common.h"
#include <linux/if_link.h>
#include <xdp/xsk.h>

enum { FRAMES = 4096, FRAME = 4096, RING = 2048, BATCH = 64, PACED_BATCH = 16 };

static uint8_t *memory;
static struct xsk_umem *umem;
static struct xsk_socket *sock;
static struct xsk_ring_prod fill, tx;
static struct xsk_ring_cons completion, rx;

static void open_socket(const char *interface, int receive)
{
	struct xsk_umem_config memory_config = {
		.fill_size = RING,
		.comp_size = RING,
		.frame_size = FRAME,
	};
	struct xsk_socket_config config = {
		.rx_size = RING,
		.tx_size = RING,
		.libbpf_flags = receive ? 0 : XSK_LIBBPF_FLAGS__INHIBIT_PROG_LOAD,
		.xdp_flags = XDP_FLAGS_DRV_MODE,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	memory = mmap(0, (size_t)FRAMES * FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	if ((errno = -xsk_umem__create(&umem, memory, (size_t)FRAMES * FRAME, &fill, &completion, &memory_config)))
		die("umem");
	uint64_t start = now_ns();
	// The queue of a socket that was closed is busy for some milliseconds.
	while ((errno = -xsk_socket__create(&sock, interface, 0, umem, receive ? &rx : 0, receive ? 0 : &tx, &config))) {
		if (errno != EBUSY || now_ns() - start > 2000000000ull)
			die("socket");
		usleep(1000);
	}
}

static int receive(const char *interface)
{
	open_socket(interface, 1);
	uint32_t at;
	if (xsk_ring_prod__reserve(&fill, RING, &at) != RING)
		die("fill");
	for (uint32_t i = 0; i < RING; i++)
		*xsk_ring_prod__fill_addr(&fill, at + i) = (uint64_t)i * FRAME;
	xsk_ring_prod__submit(&fill, RING);

	struct tally tally = {0};
	struct pollfd ready = {.fd = xsk_socket__fd(sock), .events = POLLIN};
	say_ready();
	uint64_t before = cpu_ns();
	for (;;) {
		uint32_t packets = xsk_ring_cons__peek(&rx, BATCH, &at), to = 0;
		if (!packets) {
			if (poll(&ready, 1, tally.packets ? IDLE_MS : NOBODY_MS) == 0)
				break;
			continue;
		}
		// Each frame was in the fill ring before: there is room.
		xsk_ring_prod__reserve(&fill, packets, &to);
		for (uint32_t i = 0; i < packets; i++) {
			const struct xdp_desc *packet = xsk_ring_cons__rx_desc(&rx, at + i);
			tally.sum += type_of(memory + packet->addr);
			tally.bytes += packet->len;
			*xsk_ring_prod__fill_addr(&fill, to + i) = packet->addr & ~(uint64_t)(FRAME - 1);
		}
		tally.packets += packets;
		xsk_ring_cons__release(&rx, packets);
		xsk_ring_prod__submit(&fill, packets);
	}
	uint64_t cpu = cpu_ns() - before;
	struct xdp_statistics counted = {0};
	socklen_t len = sizeof counted;
	if (getsockopt(xsk_socket__fd(sock), SOL_XDP, XDP_STATISTICS, &counted, &len))
		die("statistics");
	say_received(&tally, cpu, counted.rx_dropped + counted.rx_ring_full);
	xsk_socket__delete(sock);
	return 0;
}

static int transmit(const char *interface, unsigned length, uint64_t count)
{
	uint8_t frame[FRAME];
	make_frame(frame, length);
	open_socket(interface, 0);
	say_ready();
	uint64_t cpu = cpu_ns(), start = now_ns(), queued = 0, done = 0;
	while (done < count) {
		uint32_t at = 0, from = 0, n = 0;
		if (queued < count && queued - done + BATCH <= RING)
			n = xsk_ring_prod__reserve(&tx, BATCH, &at);
		for (uint32_t i = 0; i < n; i++, queued++) {
			struct xdp_desc *packet = xsk_ring_prod__tx_desc(&tx, at + i);
			packet->addr = queued % FRAMES * FRAME;
			packet->len = length;
			packet->options = 0;
			memcpy(memory + packet->addr, frame, length);
		}
		xsk_ring_prod__submit(&tx, n);
		if (sendto(xsk_socket__fd(sock), 0, 0, MSG_DONTWAIT, 0, 0) < 0 && errno != EAGAIN && errno != EBUSY &&
		    errno != ENOBUFS)
			die("sendto");
		uint32_t completed = xsk_ring_cons__peek(&completion, RING, &from);
		xsk_ring_cons__release(&completion, completed);
		done += completed;
	}
	say_sent(done, now_ns() - start, cpu_ns() - cpu);
	xsk_socket__delete(sock);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "receive"))
		return receive(argv[2]);
	if (argc == 6 && !strcmp(argv[1], "send"))
		return transmit(argv[2], atoi(argv[3]), strtoull(argv[4], 0, 10));
	return 2;
}
