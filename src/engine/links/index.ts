/** Every kind of link. A kind that is missing here, or lacks an export, does not compile. */
import type { LinkKind, LinkSpec } from '../attachments/model.ts';
import * as hostDevice from './host-device.ts';
import * as ipvlan from './ipvlan.ts';
import type { LinkDriver, LinkKinds, LinkState } from './link-driver.ts';
import * as macvlan from './macvlan.ts';
import * as macvtap from './macvtap.ts';
import * as vf from './vf.ts';
import * as vlan from './vlan.ts';

/** A kind whose name is no identifier; the check for unused exports follows shorthand alone. */
const hyphenated = { hostDevice };

export const linkDrivers: {
  readonly [Kind in LinkKind]: LinkDriver<LinkKinds[Kind]['spec'], LinkKinds[Kind]['state']>;
} = { vf, macvlan, ipvlan, macvtap, vlan, 'host-device': hyphenated.hostDevice };

/** The driver of a kind, for callers that hold a spec and a state of that same kind. */
export function driverOf(kind: LinkKind): LinkDriver<LinkSpec, LinkState> {
  return linkDrivers[kind] as LinkDriver<LinkSpec, LinkState>;
}

export type {
  LinkCheckInput,
  LinkContext,
  LinkDriver,
  LinkKinds,
  LinkOutcome,
  LinkState,
  LinkTarget,
  OtherLink,
  RestoreOutcome,
  SandboxView,
} from './link-driver.ts';
export { marksOf } from './ownership.ts';
