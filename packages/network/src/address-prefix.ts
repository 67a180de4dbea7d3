/** The groups of an IPv6 address, with `::` filled in. */
function ip6Groups(address: string): string[] {
  const [head = '', tail] = address.toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const missing = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  return [...left, ...Array.from({ length: missing }, () => '0'), ...right].map((group) =>
    group.replace(/^0+(?=.)/, '')
  )
}

/**
 * The network an address lies in: a /24 of IPv4, a /48 of IPv6, the name for a DNS address. Peers of one prefix
 * are likely to be in one hand.
 */
export function addressPrefix(multiaddr: string): string {
  const [, protocol = '', value = ''] = multiaddr.split('/')
  if (protocol === 'ip4') return `${value.split('.').slice(0, 3).join('.')}.0/24`
  if (protocol === 'ip6') {
    const mapped = /^::ffff:(\d+\.\d+\.\d+)\.\d+$/i.exec(value)
    if (mapped?.[1] !== undefined) return `${mapped[1]}.0/24`
    return `${ip6Groups(value).slice(0, 3).join(':')}::/48`
  }
  return value === '' ? protocol : value
}
