/** The way from the card to the memory: PCIe links and NUMA. */
import type { Nic, PcieLink } from '../inventory/model.ts';
import { cardsOf, type FindingRule, functionsOf, gbpsOf, linkText, nameOf } from './rule.ts';

/** Correctable errors are normal in small numbers; a bad contact makes thousands. */
const MANY_CORRECTABLE = 1000;

/** Lanes or speed are missing that both sides have. */
const linkDegraded: FindingRule = {
  id: 'pcie-link-degraded',
  find: ({ inventory }) =>
    functionsOf(inventory).flatMap((nic) => {
      const { pcieNow: now, pcieSlot: slot } = nic;
      const possible = lesser(nic.pcieBest, slot);
      if (now === undefined || possible === undefined || !isBelow(now, possible)) return [];
      const who = slot === undefined ? 'the card' : 'card and slot';
      return [
        {
          severity: 'warning',
          subject: nic.address,
          evidence: `${nameOf(nic)} runs at ${linkText(now)}, ${who} can do ${linkText(possible)}`,
          remedy: 'Seat the card again, clean its contacts, and look for bifurcation and speed limits in the BIOS.',
        },
      ];
    }),
};

/** The card is in a slot that cannot do what the card can. */
const slotLimits: FindingRule = {
  id: 'pcie-slot-limits',
  find: ({ inventory }) =>
    functionsOf(inventory).flatMap((nic) => {
      const { pcieBest: best, pcieSlot: slot } = nic;
      if (best === undefined || slot === undefined || !isBelow(slot, best)) return [];
      return [
        {
          severity: 'info',
          subject: nic.address,
          evidence: `${nameOf(nic)} can do ${linkText(best)}, the slot only ${linkText(slot)}`,
          remedy: 'Move the card to a slot with more lanes, if the node has one and the traffic needs it.',
        },
      ];
    }),
};

/** All ports of a card share one link, except on cards that have several. */
const tooSlowForPorts: FindingRule = {
  id: 'pcie-too-slow-for-ports',
  find: ({ inventory }) =>
    cardsOf(inventory).flatMap((ports) => {
      const [first] = ports;
      const pcieGbps = first?.pcieNow === undefined ? undefined : gbpsOf(first.pcieNow);
      const portsGbps = ports.reduce((sum, port) => sum + (port.netdev?.speedMbps ?? 0), 0) / 1000;
      if (first?.pcieNow === undefined || pcieGbps === undefined || portsGbps <= pcieGbps) return [];
      return [
        {
          severity: 'warning',
          subject: first.address,
          evidence: `${ports.map(nameOf).join(' and ')}: ${portsGbps} Gbit/s of ports behind ${Math.floor(pcieGbps)} Gbit/s of PCIe (${linkText(first.pcieNow)})`,
          remedy: 'Use a faster slot, or do not count on full speed of all ports at once.',
        },
      ];
    }),
};

const linkErrors: FindingRule = {
  id: 'pcie-errors',
  find: ({ inventory }) =>
    functionsOf(inventory).flatMap((nic) => {
      const errors = nic.pcieErrors;
      if (errors === undefined) return [];
      const { correctable, nonfatal, fatal } = errors;
      if (fatal + nonfatal === 0 && correctable < MANY_CORRECTABLE) return [];
      return [
        {
          severity: fatal + nonfatal === 0 ? 'warning' : 'error',
          subject: nic.address,
          evidence: `${nameOf(nic)}: ${fatal} fatal, ${nonfatal} non-fatal and ${correctable} correctable PCIe errors since boot`,
          remedy: 'Seat the card again; where that does not end it, try another slot, then another card.',
        },
      ];
    }),
};

/** Kubelet can align devices with CPUs and memory only where the firmware tells the node. */
const numaUnknown: FindingRule = {
  id: 'numa-unknown',
  find: ({ inventory }) => {
    const count = inventory.node.numaNodes?.length ?? 1;
    if (count < 2) return [];
    return functionsOf(inventory)
      .filter((nic) => nic.numaNode === undefined)
      .map((nic) => ({
        severity: 'warning',
        subject: nic.address,
        evidence: `${nameOf(nic)} is on no NUMA node, the machine has ${count}`,
        remedy: 'Update the firmware of the machine; until then the topology manager places its pods anywhere.',
      }));
  },
};

export const PCIE_RULES: readonly FindingRule[] = [linkDegraded, slotLimits, tooSlowForPorts, linkErrors, numaUnknown];

/** What both sides of a link can do. */
function lesser(card: Nic['pcieBest'], slot: Nic['pcieSlot']): PcieLink | undefined {
  if (card === undefined) return undefined;
  const gtps = least(card.gtps, slot?.gtps);
  const width = least(card.width, slot?.width);
  return { ...(gtps === undefined ? {} : { gtps }), ...(width === undefined ? {} : { width }) };
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? one : Math.min(one, other);
}

function isBelow(link: PcieLink, other: PcieLink): boolean {
  return (link.gtps ?? Infinity) < (other.gtps ?? 0) || (link.width ?? Infinity) < (other.width ?? 0);
}
