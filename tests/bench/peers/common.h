// What all peers in C have in common: they print "ready", do their work, and print one line of JSON.
#ifndef COMMON_H
#define COMMON_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// A receiver ends when nothing has come for so long after the first packet, and when none came at all.
#define IDLE_MS 150
#define NOBODY_MS 5000

// `warm` of the packets came before the clock was started: with the first block, for which the code is fetched and pages
// are touched for the first time.
struct tally {
	uint64_t packets, bytes, sum, warm;
};

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t cpu_ns(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ull +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ull;
}

static inline void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

static inline void say_received(const struct tally *tally, uint64_t cpu, uint64_t drops)
{
	printf("{\"packets\":%lu,\"warm\":%lu,\"bytes\":%lu,\"sum\":%lu,\"cpu_ns\":%lu,\"drops\":%lu}\n", tally->packets,
	       tally->warm, tally->bytes, tally->sum, cpu, drops);
}

static inline void say_sent(uint64_t sent, uint64_t wall, uint64_t cpu)
{
	printf("{\"sent\":%lu,\"wall_ns\":%lu,\"cpu_ns\":%lu}\n", sent, wall, cpu);
}

// What every receiver does with a packet: reads the type of its payload.
static inline uint16_t type_of(const uint8_t *frame)
{
	uint16_t type;
	memcpy(&type, frame + 12, sizeof type);
	return type;
}

static inline int bound_socket(const char *interface, int protocol)
{
	int s = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = if_nametoindex(interface),
	};
	if (s < 0 || bind(s, (void *)&address, sizeof address))
		die("bind");
	return s;
}

// UDP over IPv4 to somebody else: no checksum, since nobody reads it.
static inline void make_frame(uint8_t *frame, unsigned len)
{
	static const uint8_t start[] = {
		2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0x27, 0x10, 0, 53,
	};
	memset(frame, 0, len);
	memcpy(frame, start, sizeof start);
	uint16_t total = htons(len - 14), datagram = htons(len - 34);
	memcpy(frame + 16, &total, 2);
	memcpy(frame + 38, &datagram, 2);
}

// Waits until `sent` packets are due at `rate` a second; 0 is full speed.
static inline void pace(uint64_t start, uint64_t sent, uint64_t rate)
{
	while (rate && now_ns() - start < sent * 1000000000ull / rate)
		;
}
#endif
