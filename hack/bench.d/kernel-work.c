/*
 * kernel-work: the limit. What the kernel is asked for in a macvlan or ipvlan ADD or DEL, and nothing
 * else: no agent, no configuration, no address management, no record.
 *
 *   kernel-work add KIND UPLINK NETNS IFNAME ADDRESS/PREFIX GATEWAY
 *   kernel-work del NETNS IFNAME
 *
 * add creates a macvlan in bridge mode or an ipvlan in l2 mode (KIND) on UPLINK in NETNS under a
 * temporary name, then renames it, gives it its address, takes it up and adds the default route.
 * del deletes it by name. Every
 * request waits for the kernel's acknowledgement; the first refusal ends the program with status 1
 * and the error's name. IPv4 only.
 *
 * To debug: strace -f -e trace=sendto,recvfrom kernel-work ...
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Requests are collected here and sent together: one system call for as many as there are. */
static struct {
	char bytes[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
	size_t length;
	struct nlmsghdr *last;
	unsigned requests;
} out;

static void fail(const char *what, int error)
{
	fprintf(stderr, "kernel-work: %s: %s\n", what, strerror(error));
	exit(1);
}

/* A request of ours is a few hundred bytes at most, so `out.bytes` has room for all of them. */
static void *request(unsigned short type, unsigned short flags, size_t body)
{
	struct nlmsghdr *header = (void *)(out.bytes + out.length);
	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	header->nlmsg_len = NLMSG_LENGTH(body);
	header->nlmsg_seq = ++out.requests;
	out.length += NLMSG_ALIGN(header->nlmsg_len);
	out.last = header;
	return NLMSG_DATA(header);
}

static struct rtattr *attribute(unsigned short type, const void *value, size_t length)
{
	struct rtattr *a = (void *)(out.bytes + out.length);
	a->rta_type = type;
	a->rta_len = RTA_LENGTH(length);
	if (length > 0) memcpy(RTA_DATA(a), value, length);
	out.length += RTA_ALIGN(a->rta_len);
	out.last->nlmsg_len = (char *)(out.bytes + out.length) - (char *)out.last;
	return a;
}

static void end_nest(struct rtattr *nest) { nest->rta_len = (char *)(out.bytes + out.length) - (char *)nest; }

/* Sends what was collected over a socket in the current namespace and waits for every acknowledgement. */
static void send_all(const char *what)
{
	char in[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0) fail("netlink socket", errno);
	if (send(fd, out.bytes, out.length, 0) < 0) fail(what, errno);
	for (unsigned acknowledged = 0; acknowledged < out.requests;) {
		ssize_t got = recv(fd, in, sizeof in, 0);
		if (got < 0) fail(what, errno);
		size_t left = (size_t)got;
		for (struct nlmsghdr *h = (void *)in; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type != NLMSG_ERROR) continue;
			const struct nlmsgerr *answer = NLMSG_DATA(h);
			if (answer->error != 0) fail(what, -answer->error);
			acknowledged++;
		}
	}
	close(fd);
	memset(&out, 0, sizeof out);
}

static int open_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) fail(path, errno);
	return fd;
}

static void enter(int netns)
{
	if (setns(netns, CLONE_NEWNET) != 0) fail("setns", errno);
}

static unsigned index_of(const char *ifname)
{
	unsigned index = if_nametoindex(ifname);
	if (index == 0) fail(ifname, errno);
	return index;
}

static void mode_of(const char *kind)
{
	unsigned bridge = MACVLAN_MODE_BRIDGE;
	unsigned short l2 = IPVLAN_MODE_L2;
	if (strcmp(kind, "macvlan") == 0) attribute(IFLA_MACVLAN_MODE, &bridge, sizeof bridge);
	else if (strcmp(kind, "ipvlan") == 0) attribute(IFLA_IPVLAN_MODE, &l2, sizeof l2);
	else fail(kind, EINVAL);
}

static void add(const char *kind, const char *uplink, const char *netns_path, const char *ifname, char *cidr,
                const char *gateway_text)
{
	struct in_addr address, gateway;
	char *slash = strchr(cidr, '/');
	if (slash == NULL) fail("an address needs a prefix length", EINVAL);
	*slash = '\0';
	if (inet_pton(AF_INET, cidr, &address) != 1 || inet_pton(AF_INET, gateway_text, &gateway) != 1) fail("address", EINVAL);

	int netns = open_netns(netns_path);
	unsigned uplink_index = index_of(uplink);
	char temporary[IFNAMSIZ];
	snprintf(temporary, sizeof temporary, "kw%d", getpid());

	((struct ifinfomsg *)request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg)))->ifi_family = AF_UNSPEC;
	attribute(IFLA_IFNAME, temporary, strlen(temporary) + 1);
	attribute(IFLA_LINK, &uplink_index, sizeof uplink_index);
	attribute(IFLA_NET_NS_FD, &netns, sizeof netns);
	struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
	attribute(IFLA_INFO_KIND, kind, strlen(kind));
	struct rtattr *data = attribute(IFLA_INFO_DATA, NULL, 0);
	mode_of(kind);
	end_nest(data);
	end_nest(info);
	send_all("creating the link");

	enter(netns);
	unsigned index = index_of(temporary);
	((struct ifinfomsg *)request(RTM_NEWLINK, 0, sizeof(struct ifinfomsg)))->ifi_index = (int)index;
	attribute(IFLA_IFNAME, ifname, strlen(ifname) + 1);

	*(struct ifaddrmsg *)request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifaddrmsg)) = (struct ifaddrmsg){
		.ifa_family = AF_INET, .ifa_prefixlen = (unsigned char)atoi(slash + 1), .ifa_index = index};
	attribute(IFA_LOCAL, &address, sizeof address);
	attribute(IFA_ADDRESS, &address, sizeof address);

	*(struct ifinfomsg *)request(RTM_NEWLINK, 0, sizeof(struct ifinfomsg)) =
		(struct ifinfomsg){.ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	*(struct rtmsg *)request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct rtmsg)) = (struct rtmsg){
		.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
	attribute(RTA_OIF, &index, sizeof index);
	attribute(RTA_GATEWAY, &gateway, sizeof gateway);
	send_all("renaming, addressing, taking up, routing");
}

static void del(const char *netns_path, const char *ifname)
{
	enter(open_netns(netns_path));
	((struct ifinfomsg *)request(RTM_DELLINK, 0, sizeof(struct ifinfomsg)))->ifi_family = AF_UNSPEC;
	attribute(IFLA_IFNAME, ifname, strlen(ifname) + 1);
	send_all("deleting");
}

int main(int argc, char **argv)
{
	if (argc == 8 && strcmp(argv[1], "add") == 0) add(argv[2], argv[3], argv[4], argv[5], argv[6], argv[7]);
	else if (argc == 4 && strcmp(argv[1], "del") == 0) del(argv[2], argv[3]);
	else {
		fputs("usage: kernel-work add KIND UPLINK NETNS IFNAME ADDRESS/PREFIX GATEWAY | del NETNS IFNAME\n", stderr);
		return 2;
	}
	return 0;
}
