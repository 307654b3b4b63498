// send-packet messages|ring INTERFACE LENGTH COUNT RATE: the least that sends frames by sendmmsg(2), or through a send
// ring of version 2. At a rate, 16 frames a call; at full speed (rate 0), 64.
//
// send-packet turns OTHER INTERFACE LENGTH COUNT 0: by sendmmsg(2) into both, in short turns, and tells the processor time
// of each turn.
#include "common.h"

enum { BATCH = 64, PACED_BATCH = 16, PLACES = 512, PLACE = 2048, TURN = 2048, TURNS = 1024 };

static uint64_t by_messages(int s, unsigned len, uint64_t count, uint64_t rate, const uint8_t *frame)
{
	static uint8_t frames[BATCH][PLACE];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH] = {0};
	uint64_t sent = 0, start = now_ns();
	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){.iov_base = frames[i], .iov_len = len};
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < count) {
		int batch = rate ? PACED_BATCH : BATCH, done = 0;
		for (int i = 0; i < batch; i++)
			memcpy(frames[i], frame, len);
		while (done < batch) {
			int n = sendmmsg(s, messages + done, batch - done, 0);
			if (n < 0 && errno != ENOBUFS && errno != EAGAIN)
				die("sendmmsg");
			done += n > 0 ? n : 0;
		}
		sent += batch;
		pace(start, sent, rate);
	}
	return sent;
}

static uint64_t by_ring(int s, unsigned len, uint64_t count, const uint8_t *frame)
{
	int version = TPACKET_V2;
	struct tpacket_req request = {
		.tp_block_size = 1 << 16,
		.tp_block_nr = PLACES * PLACE >> 16,
		.tp_frame_size = PLACE,
		.tp_frame_nr = PLACES,
	};
	if (setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
	    setsockopt(s, SOL_PACKET, PACKET_TX_RING, &request, sizeof request))
		die("ring");
	uint8_t *ring = mmap(0, PLACES * PLACE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, s, 0);
	if (ring == MAP_FAILED)
		die("mmap");
	uint64_t sent = 0;
	unsigned place = 0;
	while (sent < count) {
		unsigned batch = 0;
		for (; batch < BATCH; batch++) {
			struct tpacket2_hdr *header = (void *)(ring + place * PLACE);
			if (__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE)
				break;
			memcpy((uint8_t *)header + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), frame, len);
			header->tp_len = len;
			__atomic_store_n(&header->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
			place = (place + 1) % PLACES;
		}
		if (send(s, 0, 0, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS)
			die("send");
		sent += batch;
	}
	// All of them have left when the last place is free again.
	for (unsigned i = 0; i < PLACES; i++) {
		struct tpacket2_hdr *header = (void *)(ring + i * PLACE);
		while (__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE)
			send(s, 0, 0, 0);
	}
	return sent;
}

static int sending_socket(const char *interface)
{
	int s = bound_socket(interface, 0), one = 1;
	if (setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one))
		die("bypass");
	return s;
}

static uint64_t thread_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void in_turns(const int sockets[2], unsigned len, uint64_t count, const uint8_t *frame)
{
	static uint64_t times[2][TURNS];
	uint64_t turns = count / TURN < TURNS ? count / TURN : TURNS, cpu = cpu_ns(), start = now_ns();
	for (uint64_t turn = 0; turn < turns; turn++) {
		for (int i = 0; i < 2; i++) {
			// The other one first in every other turn.
			int which = (i + turn) % 2;
			uint64_t before = thread_ns();
			by_messages(sockets[which], len, TURN, 0, frame);
			times[which][turn] = thread_ns() - before;
		}
	}
	uint64_t wall = now_ns() - start;
	cpu = cpu_ns() - cpu;
	for (int which = 0; which < 2; which++) {
		printf(which ? "],\"other_ns\":[" : "{\"ns\":[");
		for (uint64_t turn = 0; turn < turns; turn++)
			printf(turn ? ",%lu" : "%lu", times[which][turn]);
	}
	printf("],\"turn\":%d,\"sent\":%lu,\"wall_ns\":%lu,\"cpu_ns\":%lu}\n", TURN, turns * TURN, wall, cpu);
}

int main(int argc, char **argv)
{
	int turns = argc == 7 && !strcmp(argv[1], "turns");
	if (argc != 6 && !turns)
		return 2;
	char **load = argv + argc - 4;
	unsigned len = atoi(load[1]);
	uint64_t count = strtoull(load[2], 0, 10), rate = strtoull(load[3], 0, 10);
	uint8_t frame[PLACE];
	make_frame(frame, len);
	int s = sending_socket(load[0]);
	if (turns) {
		int sockets[] = {s, sending_socket(argv[2])};
		say_ready();
		in_turns(sockets, len, count, frame);
		return 0;
	}
	say_ready();
	uint64_t cpu = cpu_ns(), start = now_ns(), sent;
	if (!strcmp(argv[1], "messages"))
		sent = by_messages(s, len, count, rate, frame);
	else
		sent = by_ring(s, len, count, frame);
	say_sent(sent, now_ns() - start, cpu_ns() - cpu);
	return 0;
}
