/* Hands UDP over IPv4 to AF_XDP sockets, by the number of the queue, and counts what it saw. */
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))
#define TYPE(kind) int (*type)[kind]

static void *(*lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*redirect_map)(void *map, __u64 key, __u64 otherwise) = (void *)BPF_FUNC_redirect_map;

struct {
	TYPE(BPF_MAP_TYPE_XSKMAP);
	int (*max_entries)[64];
	__u32 *key;
	__u32 *value;
} sockets SEC(".maps");

struct {
	TYPE(BPF_MAP_TYPE_ARRAY);
	int (*max_entries)[1];
	__u32 *key;
	__u64 *value;
} seen SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	__u64 *count = lookup(&seen, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
	if (data + 34 > end || data[12] != 0x08 || data[13] != 0x00 || data[23] != 17)
		return XDP_PASS;
	return redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Dual MIT/GPL";
