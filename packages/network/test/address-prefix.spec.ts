import { expect, test } from 'vitest'
import { addressPrefix } from '../src/address-prefix.ts'

test.each([
  ['/ip4/192.168.7.9/tcp/4001/p2p/x', '192.168.7.0/24'],
  ['/ip6/2001:db8:7:1::9/tcp/4001', '2001:db8:7::/48'],
  ['/ip6/2001:0DB8:0007:1::9/tcp/4001', '2001:db8:7::/48'],
  ['/ip6/2001:db8::/tcp/4001', '2001:db8:0::/48'],
  ['/ip6/::1/tcp/4001', '0:0:0::/48'],
  ['/ip6/::ffff:10.1.2.3/tcp/4001', '10.1.2.0/24'],
  ['/dns4/example.org/tcp/443', 'example.org'],
  ['/memory/hub', 'hub'],
  ['', '']
])('%s lies in %s', (address, prefix) => expect(addressPrefix(address)).toBe(prefix))
