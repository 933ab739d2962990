/** What drivers cannot do and the kernel does not tell. */

/** PF drivers of Linux that set VFs up and have no ndo_get_vf_stats: the kernel then shows zeros for IFLA_VF_STATS. */
const DO_NOT_COUNT_VFS: ReadonlySet<string> = new Set(['be2net', 'hns3', 'igb']);

/** Whether the PF's driver is known not to count what its VFs send and receive. */
export function lacksVfStatistics(driver: string | undefined): boolean {
  return driver !== undefined && DO_NOT_COUNT_VFS.has(driver);
}
